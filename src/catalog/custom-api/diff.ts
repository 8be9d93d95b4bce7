import type { BodyChoice } from '../binding.ts'
import type { Action } from '../manifest.ts'

/** What a new revision means for those who call its actions. */
export interface RevisionDiff {
  readonly added: readonly string[]
  /** What was sent before is still taken. */
  readonly changed: readonly string[]
  /** Something that was sent before is refused now, or means something else. */
  readonly breaking: readonly { readonly name: string, readonly reasons: readonly string[] }[]
  readonly removed: readonly string[]
}

/** The parts of a revision that are compared. */
export interface Compared {
  readonly actions: readonly Action[]
  readonly schemas: Readonly<Record<string, unknown>>
}

const REASONS_MAX = 10
/** Schemas without end are compared as far as this, then called changed. */
const STEPS_MAX = 2_000_000

export function diffRevisions (before: Compared, after: Compared): RevisionDiff {
  const old = new Map(before.actions.map((action) => [action.name, action]))
  const now = new Set(after.actions.map(({ name }) => name))
  const changed: string[] = []
  const breaking: { name: string, reasons: string[] }[] = []
  const steps = { left: STEPS_MAX }
  for (const action of after.actions) {
    const earlier = old.get(action.name)
    if (earlier === undefined) continue
    const { reasons, same } = compareActions({ action: earlier, schemas: before.schemas }, { action, schemas: after.schemas }, steps)
    if (reasons.length > 0) breaking.push({ name: action.name, reasons: [...new Set(reasons)].slice(0, REASONS_MAX) })
    else if (!same) changed.push(action.name)
  }
  return { added: [...now].filter((name) => !old.has(name)), changed, breaking, removed: [...old.keys()].filter((name) => !now.has(name)) }
}

interface One {
  readonly action: Action
  readonly schemas: Readonly<Record<string, unknown>>
}

function compareActions (before: One, after: One, steps: { left: number }): { reasons: string[], same: boolean } {
  const reasons: string[] = []
  const [a, b] = [before.action, after.action]
  if (a.effect !== b.effect) reasons.push(`its effect was ${a.effect} and is ${b.effect}`)
  const alternatives = b.binding?.security ?? []
  for (const needed of a.binding?.security ?? []) {
    if (!alternatives.some((other) => other.every((name) => needed.includes(name)))) reasons.push(`it is no longer authorised by ${needed.join(' and ') || 'nothing'}`)
  }
  reasons.push(...compareBodies(a, b))
  const comparison = createComparison(before.schemas, after.schemas, { reasons, steps })
  for (const place of ['path', 'query', 'header', 'cookie'] as const) {
    const [old, now] = [closed(a.input?.[place]), closed(b.input?.[place])]
    if (old !== undefined || now !== undefined) comparison.compare(old ?? EMPTY, now ?? EMPTY, `/${place}`)
  }
  if (a.input?.body !== undefined && b.input?.body !== undefined) comparison.compare(a.input.body, b.input.body, '/body')
  const same = comparison.same() && JSON.stringify({ ...a, input: undefined }) === JSON.stringify({ ...b, input: undefined })
  return { reasons, same }
}

const EMPTY = { type: 'object', additionalProperties: false, properties: {} }

/** Unknown parameters are refused. */
function closed (schema: object | undefined): object | undefined {
  return schema && { type: 'object', additionalProperties: false, ...schema }
}

function compareBodies (a: Action, b: Action): string[] {
  const types = (action: Action) => action.binding?.bodies?.map((body: BodyChoice) => body.media_type) ?? []
  const gone = types(a).filter((type) => !types(b).includes(type))
  const required = b.binding?.body_required === true && a.binding?.body_required !== true
  return [...gone.map((type) => `it no longer takes ${type}`), ...required ? ['/body is required now'] : []]
}

type Schema = Readonly<Record<string, unknown>>

const LOWER = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'] as const
const UPPER = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'] as const

/** Whether what fitted one schema fits the other: by its types, names, lists of values and bounds. */
function createComparison (before: Schema, after: Schema, into: { reasons: string[], steps: { left: number } }) {
  const seen = new Set<string>()
  let same = true
  const follow = (value: unknown, schemas: Schema): { schema: Schema, ref: string } => {
    const ref = isSchema(value) && typeof value['$ref'] === 'string' ? value['$ref'] : ''
    const found = ref === '' ? value : schemas[ref.slice('#/$defs/'.length)]
    return { schema: isSchema(found) ? found : {}, ref }
  }
  const refuse = (at: string, why: string): void => {
    same = false
    if (into.reasons.length < REASONS_MAX * 4) into.reasons.push(`${at.slice(0, 200)} ${why}`)
  }

  const compare = (old: unknown, now: unknown, at: string): void => {
    if (--into.steps.left < 0) { same = false; return }
    const a = follow(old, before)
    const b = follow(now, after)
    if (a.ref !== '' || b.ref !== '') {
      const pair = `${a.ref} ${b.ref}`
      if (a.ref !== '' && b.ref !== '' && seen.has(pair)) return
      seen.add(pair)
    }
    const values = compareValues(a.schema, b.schema)
    for (const reason of values.reasons) refuse(at, reason)
    if (!values.same) same = false
    compareMembers(a.schema, b.schema, at)
    for (const key of ['title', 'description', 'format', 'pattern', 'default', 'multipleOf', 'uniqueItems'] as const) if (JSON.stringify(a.schema[key]) !== JSON.stringify(b.schema[key])) same = false
  }

  const compareMembers = (a: Schema, b: Schema, at: string): void => {
    const [old, now] = [membersOf(a), membersOf(b)]
    const required = new Set(namesOf(a['required']))
    for (const name of namesOf(b['required'])) if (!required.has(name)) refuse(`${at}/${name}`, 'is required now')
    if (namesOf(b['required']).length !== required.size) same = false
    for (const [name, schema] of Object.entries(old)) {
      if (Object.hasOwn(now, name)) compare(schema, now[name], `${at}/${name}`)
      else if (b['additionalProperties'] === false) refuse(`${at}/${name}`, 'is gone')
      else same = false
    }
    if (Object.keys(now).some((name) => !Object.hasOwn(old, name))) same = false
    if (b['additionalProperties'] === false && a['additionalProperties'] !== false) refuse(at, 'no longer takes other properties')
    else if (isSchema(a['additionalProperties']) && isSchema(b['additionalProperties'])) compare(a['additionalProperties'], b['additionalProperties'], `${at}/*`)
    else if (JSON.stringify(a['additionalProperties']) !== JSON.stringify(b['additionalProperties'])) same = false
    if (a['items'] !== undefined && b['items'] !== undefined) compare(a['items'], b['items'], `${at}/*`)
    else if (a['items'] !== b['items']) same = false
    for (const key of ['allOf', 'anyOf', 'oneOf'] as const) compareLists(key, { old: listOf(a[key]), now: listOf(b[key]) }, at)
    if (JSON.stringify(a['not']) !== JSON.stringify(b['not'])) same = false
  }

  const compareLists = (key: string, { old, now }: { old: readonly unknown[], now: readonly unknown[] }, at: string): void => {
    if (old.length === now.length) old.forEach((schema, index) => { compare(schema, now[index], at) })
    else if (key === 'allOf' ? now.length > old.length : now.length < old.length && now.length > 0) refuse(at, key === 'allOf' ? 'asks for more' : 'takes fewer forms')
    else if (key !== 'allOf' && old.length === 0) refuse(at, 'takes fewer forms')
    else same = false
  }

  return { compare, same: () => same }
}

/** Types, lists of values and bounds. */
function compareValues (a: Schema, b: Schema): { reasons: string[], same: boolean } {
  const reasons: string[] = []
  const [types, taken] = [typesOf(a), typesOf(b)]
  const lost = types.filter((type) => !taken.includes(type) && !(type === 'integer' && taken.includes('number')))
  if (lost.length > 0) reasons.push(`no longer takes ${types === TYPES ? `anything but ${taken.join(', ')}` : lost.join(', ')}`)
  const [values, allowed] = [valuesOf(a), valuesOf(b)]
  if (allowed !== undefined && (values === undefined || values.some((value) => !allowed.includes(value)))) reasons.push('takes fewer values')
  for (const [bounds, stricter] of [[LOWER, (x: number, y: number) => y > x], [UPPER, (x: number, y: number) => y < x]] as const) {
    for (const key of bounds) {
      const [x, y] = [a[key], b[key]]
      if (typeof y === 'number' && (typeof x !== 'number' || stricter(x, y))) reasons.push(`has a stricter ${key}`)
    }
  }
  const said = (schema: Schema) => JSON.stringify([typesOf(schema), valuesOf(schema), ...[...LOWER, ...UPPER].map((key) => schema[key])])
  return { reasons, same: said(a) === said(b) }
}

const TYPES = ['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']

/** All of them where a schema does not say. */
function typesOf (schema: Schema): readonly string[] {
  const types = [schema['type']].flat().filter((type): type is string => typeof type === 'string')
  return types.length === 0 ? TYPES : types
}

function valuesOf (schema: Schema): readonly string[] | undefined {
  if (Object.hasOwn(schema, 'const')) return [JSON.stringify(schema['const'])]
  return Array.isArray(schema['enum']) ? schema['enum'].map((value) => JSON.stringify(value)) : undefined
}

function membersOf (schema: Schema): Schema {
  return isSchema(schema['properties']) ? schema['properties'] : {}
}

function namesOf (value: unknown): readonly string[] {
  return listOf(value).filter((name): name is string => typeof name === 'string')
}

function listOf (value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isSchema (value: unknown): value is Schema {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
