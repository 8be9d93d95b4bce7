import { VaultError } from '../errors.ts'
import { createParty } from '../foreign-schema.ts'
import { compileSchema, type SchemaCheck } from '../schema.ts'
import { createBoundAction, withPlaces, type IntegrationAction } from './bound-action.ts'
import type { Action, AuthScheme, Manifest, Place, TestRequest } from './manifest.ts'

/** A manifest made ready for use. */
export interface Integration {
  readonly manifest: Manifest
  /** Of a workspace's own; null for those that every workspace has. */
  readonly revision: number | null
  /** Private endpoints that are open to others and not to this one. */
  readonly closedHosts: ReadonlySet<string>
  /** Throws `auth_unknown`. Without an id, the only scheme there is. */
  requireScheme (id: string | undefined): AuthScheme
  /** An action, of the newest revision unless told. Throws `action_unknown`, `revision_unknown`. */
  loadAction (name: string, revision?: number): Promise<IntegrationAction>
  /** Those of the names that are no actions of the newest revision. */
  listUnknown (names: readonly string[]): Promise<string[]>
}

/** One whose actions are all at hand. */
export interface LoadedIntegration extends Integration {
  findAction (name: string): IntegrationAction | undefined
  /** Throws `action_unknown`. */
  requireAction (name: string): IntegrationAction
}

const LISTED_MAX = 50
const PLACES: readonly Place[] = ['path', 'query', 'header', 'body']

/** A file in the input, written as binary outputs are. */
const FILE = {
  type: 'object',
  additionalProperties: false,
  required: ['base64'],
  properties: {
    base64: { type: 'string', minLength: 1, contentEncoding: 'base64' },
    filename: { type: 'string', minLength: 1, maxLength: 255 },
    content_type: { type: 'string', maxLength: 100, pattern: '^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$' },
  },
}

export function createIntegration (manifest: Manifest): LoadedIntegration {
  const party = createParty()
  const actions = new Map(manifest.actions.map((definition) =>
    [definition.name, definition.binding === undefined ? createAction(definition) : createBoundAction(manifest, definition, party)]))
  const requireAction = (name: string): IntegrationAction => {
    const action = actions.get(name)
    if (action === undefined) throw new VaultError('action_unknown', { detail: `${manifest.name} has no such action. It has: ${listNames([...actions.keys()])}.` })
    return action
  }
  return Object.freeze({
    manifest, revision: null, closedHosts: new Set<string>(), ...createSchemes(manifest), requireAction,
    findAction: (name: string) => actions.get(name),
    loadAction: async (name: string, revision?: number) => {
      if (revision !== undefined) throw new VaultError('revision_unknown', { detail: `${manifest.name} has no revisions: leave \`revision\` out.` })
      return requireAction(name)
    },
    listUnknown: async (names: readonly string[]) => names.filter((name) => !actions.has(name)),
  })
}

/** For a message: of an imported integration there may be hundreds. */
export function listNames (names: readonly string[], most = LISTED_MAX): string {
  const more = names.length - most
  return more > 0 ? `${names.slice(0, most).join(', ')} and ${more} more` : names.join(', ')
}

/** The ways to connect it. */
export function createSchemes (manifest: Manifest): Pick<Integration, 'requireScheme'> {
  const schemes = new Map(manifest.auth.map((scheme) => [scheme.id, scheme]))
  return {
    requireScheme: (id: string | undefined) => {
      const only = manifest.auth.length === 1 ? manifest.auth[0] : undefined
      const scheme = id === undefined ? only : schemes.get(id)
      if (scheme === undefined) throw new VaultError('auth_unknown', { detail: `${manifest.name} is connected by: ${[...schemes.keys()].join(', ')}.` })
      return scheme
    },
  }
}

/** The request that shows whether a credential is accepted. Throws `test_unavailable`. */
export function requireTest (manifest: Manifest): TestRequest {
  if (manifest.test === undefined) throw new VaultError('test_unavailable', { detail: `${manifest.name} has no test request: run an action that reads.` })
  return manifest.test
}

function createAction (definition: Action): IntegrationAction {
  const parts = PLACES.flatMap((place) => {
    const schema = definition.input?.[place]
    return schema === undefined ? [] : [[place, { type: 'object', additionalProperties: false, ...schema, ...place === 'body' && withFiles(definition, schema) }] as const]
  })
  const needed = parts.filter(([, schema]) => 'required' in schema && (schema['required'] as string[]).length > 0).map(([place]) => place)
  const schema = { type: 'object', additionalProperties: false, properties: Object.fromEntries(parts), required: needed }
  let compiled: SchemaCheck | undefined
  return Object.freeze({
    definition,
    schema,
    outline: schema,
    names: new Map(parts.map(([place, part]) => [place, new Set(Object.keys((part as { properties?: object }).properties ?? {}))])),
    openBody: parts.some(([place, part]) => place === 'body' && part.additionalProperties !== false),
    // Compiled on first use: a catalog has thousands of actions and a process uses few.
    check: (value: unknown) => (compiled ??= compileSchema(schema, '/input'))(withPlaces(value, needed)),
  })
}

function withFiles (definition: Action, schema: Readonly<Record<string, unknown>>): { properties?: object } {
  if (definition.files === undefined) return {}
  const described = (name: string) => ({ ...FILE, ...(schema['properties'] as Record<string, object> | undefined)?.[name] })
  return { properties: { ...schema['properties'] as object, ...Object.fromEntries(definition.files.map((name) => [name, described(name)])) } }
}
