import type { Binding } from '../catalog/index.ts'
import type { FieldError } from '../errors.ts'
import { invalid } from './check-request.ts'

type Input = Readonly<Record<string, unknown>>

const PLACES: ReadonlySet<string> = new Set(['path', 'query', 'header', 'cookie', 'body', 'content_type'])

/**
 * Input of an imported action in two levels, `{path, query, header, cookie, body, content_type}`. A flat object is sorted: what a
 * parameter is called goes there, the rest is the body's. Throws `input_invalid` for a name that stands in two places, or in none.
 */
export function sortBoundInput (binding: Binding, input: Input): Input {
  if (Object.entries(input).every(([name, value]) => PLACES.has(name) && (name === 'body' || name === 'content_type' || isObject(value)))) return input
  const errors: FieldError[] = []
  const sorted = new Map<string, [string, unknown][]>()
  const open = binding.bodies?.some(({ as }) => as === 'json' || as === 'form' || as === 'multipart') === true
  for (const [name, value] of Object.entries(input)) {
    const places: string[] = binding.parameters.filter((parameter) => parameter.name === name).map((parameter) => parameter.in)
    if (binding.ambiguous?.includes(name) === true || (places.length === 0 && open)) places.push('body')
    const [place] = places
    const pointer = `/input/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (place === undefined) errors.push({ pointer, message: 'is not known here' })
    else if (places.length > 1) errors.push({ pointer, message: `stands in ${places.join(' and ')}: send the input as {${[...PLACES].join(', ')}}` })
    else sorted.set(place, [...sorted.get(place) ?? [], [name, value]])
  }
  if (errors.length > 0) throw invalid(errors)
  return Object.fromEntries([...sorted].map(([place, entries]) => [place, Object.fromEntries(entries)]))
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
