import { VaultError } from '../errors.ts'
import { createSchemes, type LoadedIntegration } from './integration.ts'
import type { Manifest } from './manifest.ts'

const PRIVATE = 'private'

/**
 * What agents in a customer's network reach. It has no servers, no credential and no actions of its
 * own: a connection names a group of agents, and the group says what it runs.
 */
const MANIFEST: Manifest = {
  id: PRIVATE,
  name: 'Private network',
  category: 'private connections',
  environments: ['sandbox', 'live'],
  separation: 'host',
  auth: [{
    id: 'agents',
    label: 'Agents of a group',
    find: 'the agent groups of the workspace',
    fields: [{ name: 'group', label: 'Agent group', help: 'Its id. Whoever looks after the agents has it.', secret: false, pattern: '^grp_[0-9a-z]{26}$', expects: 'the id of an agent group of this environment' }],
    inject: [],
  }],
  // The group stands where others have their host: it is sealed with the version, and another one is a rotation.
  servers: { sandbox: '{group}', live: '{group}' },
  hosts: [],
  conventions: { body: 'json' },
  errors: [],
  actions: [],
}

export const privateIntegration: LoadedIntegration = Object.freeze({
  manifest: MANIFEST,
  revision: null,
  closedHosts: new Set<string>(),
  ...createSchemes(MANIFEST),
  findAction: () => undefined,
  requireAction: () => { throw ownActions() },
  loadAction: async () => { throw ownActions() },
  // What agents will run, nobody knows yet: a name that could be one is taken.
  listUnknown: async (names: readonly string[]) => names.filter((name) => !/^[a-z][a-z0-9_]{0,63}$/.test(name)),
})

/** Whether its calls are made by a customer's agents. */
export function isPrivate ({ id }: Pick<Manifest, 'id'>): boolean {
  return id === PRIVATE
}

function ownActions (): VaultError {
  return new VaultError('action_unknown', { detail: 'The actions of a private connection are those of its agent group.' })
}
