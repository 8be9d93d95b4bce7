import { compileSchema, type SchemaCheck } from '../schema.ts'
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

/** Keywords that are shown and not run: a pattern of strangers may take for ever, and formats are lies more often than not. */
const NOT_RUN: ReadonlySet<string> = new Set(['pattern', 'patternProperties', 'format', 'contentEncoding', 'contentMediaType'])

/**
 * An action of an imported document. Its parameters are checked strictly, its body only where the
 * import asked for it: documents are wrong about bodies more often than callers.
 */
export function createBoundAction (manifest: Pick<Manifest, 'schemas'>, definition: Action): IntegrationAction {
  const { binding, input = {} } = definition
  const types = binding?.bodies?.map((body) => body.media_type) ?? []
  let shown: Readonly<Record<string, unknown>> | undefined
  let compiled: SchemaCheck | undefined

  const outline = (body: unknown): Record<string, unknown> => {
    const parts = (['path', 'query', 'header', 'cookie'] as const).flatMap((place) => {
      const schema = input[place]
      return schema === undefined ? [] : [[place, { type: 'object', additionalProperties: false, ...schema }] as const]
    })
    const required = parts.filter(([, schema]) => 'required' in schema && (schema['required'] as string[]).length > 0).map(([place]) => place as string)
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
    check: (value: unknown) => (compiled ??= compileSchema(withoutNotRun(build(binding?.strict === true ? input.body ?? {} : {})) as object, '/input'))(value),
  })
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

/** In `properties` and `$defs` keys are names, not keywords. */
function withoutNotRun (value: unknown, names = false): unknown {
  if (Array.isArray(value)) return value.map((member) => withoutNotRun(member))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).filter(([key]) => names || !NOT_RUN.has(key))
    .map(([key, member]) => [key, !names && (key === 'enum' || key === 'const' || key === 'default') ? member : withoutNotRun(member, !names && (key === 'properties' || key === '$defs'))]))
}
