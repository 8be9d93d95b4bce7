import type { IntegrationAction, Place } from '../catalog/index.ts'
import { VaultError, type FieldError } from '../errors.ts'

/** Input sorted by where in the request it goes. */
export type ArrangedInput = Readonly<Partial<Record<Place, Readonly<Record<string, unknown>>>>>

const PLACES: readonly string[] = ['path', 'query', 'header', 'body']

/**
 * Sorts and checks a caller's input. `{path, query, header, body}` is taken as it is; a flat
 * object is sorted by the names the action declares, as long as none is declared in two places.
 * `filled` names properties of the body that the credential will supply.
 *
 * Throws `input_invalid` with a pointer to each place that does not fit.
 */
export function arrangeInput (action: IntegrationAction, input: Readonly<Record<string, unknown>>, filled: readonly string[]): ArrangedInput {
  const arranged = isTwoLevel(action, input) ? structuredInput(input) : sortFlat(action, input)
  const checked = filled.length === 0 ? arranged : { ...arranged, body: { ...Object.fromEntries(filled.map((name) => [name, ''])), ...arranged.body } }
  const errors = action.check(checked)
  if (errors.length > 0) throw invalid(errors)
  return arranged
}

/** A body property may itself be called `body` (Jira's comments): only places and nothing else make it two-level. */
function isTwoLevel (action: IntegrationAction, input: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(input)
  if (!names.every((name) => PLACES.includes(name))) return false
  // `{body: {…}}` for an action whose only input called `body` is the place or the property: the place wins.
  return names.every((name) => action.names.has(name as Place)) || names.length === 0
}

function structuredInput (input: Readonly<Record<string, unknown>>): ArrangedInput {
  const errors = Object.entries(input).filter(([, part]) => part === null || typeof part !== 'object' || Array.isArray(part))
    .map(([name]) => ({ pointer: `/input/${name}`, message: 'must be object' }))
  if (errors.length > 0) throw invalid(errors)
  return input
}

function sortFlat (action: IntegrationAction, input: Readonly<Record<string, unknown>>): ArrangedInput {
  return sortByPlace(input, PLACES, (name) => {
    const places: string[] = [...action.names].filter(([, names]) => names.has(name)).map(([place]) => place)
    return places.length === 0 && action.openBody ? ['body'] : places
  })
}

type Places = (name: string) => readonly string[]

/** Sorts flat input by where each name goes. Throws `input_invalid` for one that goes to two places of those there are, or to none. */
export function sortByPlace (input: Readonly<Record<string, unknown>>, all: readonly string[], placesOf: Places): Record<string, Record<string, unknown>> {
  const errors: FieldError[] = []
  const sorted = new Map<string, [string, unknown][]>()
  for (const [name, value] of Object.entries(input)) {
    const places = placesOf(name)
    const [place] = places
    const pointer = `/input/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (place === undefined) errors.push({ pointer, message: 'is not known here' })
    else if (places.length > 1) errors.push({ pointer, message: `stands in ${places.join(' and ')}: send the input as {${all.join(', ')}}` })
    else sorted.set(place, [...sorted.get(place) ?? [], [name, value]])
  }
  if (errors.length > 0) throw invalid(errors)
  return Object.fromEntries([...sorted].map(([place, entries]) => [place, Object.fromEntries(entries)]))
}

function invalid (errors: readonly FieldError[]): VaultError {
  return new VaultError('input_invalid', { detail: 'The input does not fit the action’s schema.', errors })
}
