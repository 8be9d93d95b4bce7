import type { Binding } from '../catalog/index.ts'
import { isObject } from '../json.ts'
import { sortByPlace, type SortedInput } from './arrange-input.ts'

type Input = Readonly<Record<string, unknown>>

const PLACES: readonly string[] = ['path', 'query', 'header', 'cookie', 'body', 'content_type']

/**
 * Input of an imported action in two levels, `{path, query, header, cookie, body, content_type}`. A flat object is sorted: what a
 * parameter is called goes there, the rest is the body's.
 */
export function sortBoundInput (binding: Binding, input: Input): Pick<SortedInput, 'misplaced'> & { readonly sorted: Input } {
  if (Object.entries(input).every(([name, value]) => PLACES.includes(name) && (name === 'body' || name === 'content_type' || isObject(value)))) return { sorted: input, misplaced: [] }
  const open = binding.bodies?.some(({ as }) => as === 'json' || as === 'form' || as === 'multipart') === true
  return sortByPlace(input, { all: PLACES, known: () => binding.parameters.map(({ name }) => name) }, (name) => {
    const places: string[] = binding.parameters.filter((parameter) => parameter.name === name).map((parameter) => parameter.in)
    return binding.ambiguous?.includes(name) === true || (places.length === 0 && open) ? [...places, 'body'] : places
  })
}
