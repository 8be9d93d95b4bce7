import { listNames, type IntegrationAction, type Place } from '../catalog/index.ts'
import { VaultError, type FieldError } from '../errors.ts'

/** Input sorted by where in the request it goes. */
export type ArrangedInput = Readonly<Partial<Record<Place, Readonly<Record<string, unknown>>>>>

/** What the connection brings to an input. */
export interface FilledIn {
  readonly secrets: readonly string[]
  readonly config: ArrangedInput
}

const PLACES: readonly string[] = ['path', 'query', 'header', 'body']

/**
 * Sorts and checks a caller's input. `{path, query, header, body}` is taken as it is; a flat
 * object is sorted by the names the action declares, as long as none is declared in two places.
 * `secrets` names properties of the body that the credential will supply; `config` is the input
 * where the caller leaves it out.
 *
 * Throws `input_invalid` with a pointer to each place that does not fit.
 */
export function arrangeInput (action: IntegrationAction, input: Readonly<Record<string, unknown>>, { secrets, config }: FilledIn): ArrangedInput {
  const { sorted, misplaced } = isTwoLevel(action, input) ? { sorted: structuredInput(input), misplaced: [] } : sortFlat(action, input)
  const added = Object.entries(config).map(([place, values]) => [place, { ...values, ...sorted[place as Place] }] as const)
  const arranged: ArrangedInput = { ...sorted, ...Object.fromEntries(added) }
  const checked = secrets.length === 0 ? arranged : { ...arranged, body: { ...Object.fromEntries(secrets.map((name) => [name, ''])), ...arranged.body } }
  const errors = joinErrors(misplaced, action.check(checked))
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

function sortFlat (action: IntegrationAction, input: Readonly<Record<string, unknown>>): SortedInput {
  return sortByPlace(input, { all: PLACES, known: () => [...action.names.values()].flatMap((names) => [...names]) }, (name) => {
    const places: string[] = [...action.names].filter(([, names]) => names.has(name)).map(([place]) => place)
    return places.length === 0 && action.openBody ? ['body'] : places
  })
}

export interface SortedInput {
  readonly sorted: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Names that go nowhere, or to more than one place. */
  readonly misplaced: readonly FieldError[]
}

type Places = (name: string) => readonly string[]

interface Names {
  readonly all: readonly string[]
  known (): readonly string[]
}

const KNOWN_MAX = 30
const ERRORS_MAX = 20

/** Sorts flat input by where each name goes, of `all` the places there are; `known` are the names to speak of. */
export function sortByPlace (input: Readonly<Record<string, unknown>>, { all, known }: Names, placesOf: Places): SortedInput {
  const misplaced: FieldError[] = []
  const sorted = new Map<string, [string, unknown][]>()
  for (const [name, value] of Object.entries(input)) {
    const places = placesOf(name)
    const [place] = places
    const pointer = `/input/${name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (place !== undefined && places.length === 1) sorted.set(place, [...sorted.get(place) ?? [], [name, value]])
    else if (misplaced.length < ERRORS_MAX) {
      misplaced.push({ pointer, message: place === undefined ? `is not known here: ${listKnown(known())}` : `stands in ${places.join(' and ')}: send the input as {${all.join(', ')}}` })
    }
  }
  return { sorted: Object.fromEntries([...sorted].map(([place, entries]) => [place, Object.fromEntries(entries)])), misplaced }
}

function listKnown (known: readonly string[]): string {
  const names = [...new Set(known)]
  if (names.length === 0) return 'the action takes no input'
  return `the action takes ${listNames(names, KNOWN_MAX)}`
}

/** All that is wrong at once. Of a name that could not be sorted, that it is missing where it belongs is no news. */
export function joinErrors (misplaced: readonly FieldError[], unfit: readonly FieldError[]): FieldError[] {
  const said = new Set(misplaced.map(({ pointer }) => nameOf(pointer)))
  return [...misplaced, ...unfit.filter(({ pointer }) => !said.has(nameOf(pointer)))].slice(0, ERRORS_MAX)
}

function nameOf (pointer: string): string {
  return pointer.slice(pointer.lastIndexOf('/') + 1)
}

function invalid (errors: readonly FieldError[]): VaultError {
  return new VaultError('input_invalid', { detail: 'The input does not fit the action’s schema.', errors })
}
