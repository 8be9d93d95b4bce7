import { createParty, prepareForeignSchema } from '../foreign-schema.ts'
import { isObject } from '../json.ts'
import type { SchemaCheck } from '../schema.ts'
import type { Action, Manifest, Place } from './manifest.ts'

export interface IntegrationAction {
  readonly definition: Action
  /** The schema of `{path, query, header, body}`, as far as the action has them. */
  readonly schema: Readonly<Record<string, unknown>>
  /** The same without the schemas that it points at: those of a large document are shown one action at a time. */
  readonly outline: Readonly<Record<string, unknown>>
  /** Names of the properties each place declares. */
  readonly names: ReadonlyMap<Place, ReadonlySet<string>>
  /** Whether the body takes properties it does not name. */
  readonly openBody: boolean
  check: SchemaCheck
}

/**
 * An action of an imported document. Its parameters are checked strictly, its body only where the
 * import asked for it: documents are wrong about bodies more often than callers. `party` answers for
 * what its schema takes to check.
 */
export function createBoundAction (manifest: Pick<Manifest, 'schemas'>, definition: Action, party = createParty()): IntegrationAction {
  const { binding, input = {} } = definition
  const types = binding?.bodies?.map((body) => body.media_type) ?? []
  let shown: Readonly<Record<string, unknown>> | undefined

  const needed = (['path', 'query', 'header', 'cookie'] as const).filter((place) => (input[place]?.['required'] as string[] | undefined ?? []).length > 0)
  const outline = (body: unknown): Record<string, unknown> => {
    const parts = (['path', 'query', 'header', 'cookie'] as const).flatMap((place) => {
      const schema = input[place]
      return schema === undefined ? [] : [[place, { type: 'object', additionalProperties: false, ...schema }] as const]
    })
    const required: string[] = [...needed]
    if (binding?.body_required === true) required.push('body')
    const properties = Object.fromEntries([
      ...parts, ...types.length === 0 ? [] : [['body', body]], ...types.length < 2 ? [] : [['content_type', { enum: types }]],
    ] as [string, unknown][])
    return { type: 'object', additionalProperties: false, properties, required }
  }
  const build = (body: unknown): Record<string, unknown> => {
    const outer = outline(body)
    const refs = collectSchemas(manifest.schemas ?? {}, outer)
    return { ...outer, ...Object.keys(refs).length > 0 && { $defs: refs } }
  }
  const check = prepareForeignSchema(() => build(binding?.strict === true ? input.body ?? {} : {}), '/input', party)

  return Object.freeze({
    definition,
    // Put together when somebody looks: a document has hundreds of actions, and schemas by the thousand.
    get schema () {
      shown ??= build(input.body ?? {})
      return shown
    },
    get outline () { return outline(input.body ?? {}) },
    names: new Map<Place, ReadonlySet<string>>(),
    openBody: false,
    check: (value: unknown) => check(withPlaces(value, needed)),
  })
}

/** A place that is missing is as good as empty: then each field that it lacks is named, not the place. */
export function withPlaces (value: unknown, needed: readonly string[]): unknown {
  return isObject(value) ? { ...Object.fromEntries(needed.map((place) => [place, {}])), ...value } : value
}

/** The schemas that a value points at, and those that they point at. */
function collectSchemas (schemas: Readonly<Record<string, unknown>>, from: unknown): Record<string, unknown> {
  const found = new Map<string, unknown>()
  const queue: unknown[] = [from]
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (value === null || typeof value !== 'object') continue
    for (const [key, member] of Object.entries(value)) {
      const name = key === '$ref' && typeof member === 'string' ? member.slice('#/$defs/'.length) : undefined
      if (name !== undefined && !found.has(name) && Object.hasOwn(schemas, name)) {
        found.set(name, schemas[name])
        queue.push(schemas[name])
      } else if (typeof member === 'object') queue.push(member)
    }
  }
  return Object.fromEntries(found)
}
