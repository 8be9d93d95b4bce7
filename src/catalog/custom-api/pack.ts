import type { Action, Manifest } from '../manifest.ts'

/** An imported integration in the pieces it is kept in: nobody needs all of it at once. */
export interface Packed {
  /** Without actions and schemas. */
  readonly head: Manifest
  readonly actions: readonly PackedAction[]
  readonly schemas: readonly PackedSchema[]
}

export interface PackedAction {
  readonly name: string
  readonly definition: Action
  readonly parameter_refs: readonly string[]
  readonly body_refs: readonly string[]
}

export interface PackedSchema {
  readonly name: string
  readonly schema: object
  readonly refs: readonly string[]
}

export function packManifest ({ actions, schemas, ...head }: Manifest): Packed {
  return {
    head: { ...head, actions: [] },
    actions: actions.map((definition) => {
      const { body, ...parameters } = definition.input ?? {}
      return { name: definition.name, definition, parameter_refs: refsOf(parameters), body_refs: refsOf(body) }
    }),
    schemas: Object.entries(schemas ?? {}).map(([name, schema]) => ({ name, schema: schema as object, refs: refsOf(schema) })),
  }
}

const DEFINITION = '#/$defs/'

/** Names of the schemas that a value points at directly. */
function refsOf (value: unknown): string[] {
  const found = new Set<string>()
  const visit = (member: unknown): void => {
    if (member === null || typeof member !== 'object') return
    for (const [key, one] of Object.entries(member)) {
      if (key === '$ref' && typeof one === 'string' && one.startsWith(DEFINITION)) found.add(one.slice(DEFINITION.length))
      else visit(one)
    }
  }
  visit(value)
  return [...found]
}

/** A NUL, or half of a surrogate pair: JSON can say it, a text of Postgres can't hold it. */
const UNSTORABLE = /\\u(0000|[dD][89a-fA-F])/

/** JSON in UTF-8 that Postgres can take apart. */
export function toStorableJson (value: unknown): Uint8Array {
  const text = JSON.stringify(value)
  return Buffer.from(UNSTORABLE.test(text) ? JSON.stringify(clean(value)) : text)
}

function clean (value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed().replaceAll('\u0000', '')
  if (Array.isArray(value)) return value.map(clean)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [clean(key), clean(member)]))
}
