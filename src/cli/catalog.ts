import { isLinked, loadCatalog, type Action, type Integration } from '../catalog/index.ts'
import { readConfig } from '../config.ts'
import { print, table } from './output.ts'

/** Lists what can be connected; with an id, the actions of one integration. Reads manifests only. */
export function listCatalog (id: string | undefined): void {
  const catalog = loadCatalog(readConfig('operate').catalogDir)
  print(id === undefined ? describeAll(catalog.list()) : describeOne(catalog.require(id)))
}

function describeAll (integrations: readonly Integration[]): string {
  const rows = integrations.map(({ manifest }) => {
    const count = (effect: string) => String(manifest.actions.filter((action) => action.effect === effect).length)
    const auth = manifest.auth.map((scheme) => scheme.id).join(', ')
    return [manifest.id, manifest.name, manifest.category, auth, String(manifest.actions.length), count('read'), count('idempotent'), count('unsafe')]
  })
  const actions = integrations.reduce((sum, { manifest }) => sum + manifest.actions.length, 0)
  const head = ['integration', 'name', 'category', 'auth', 'actions', 'read', 'idempotent', 'unsafe']
  return `${table(head, rows)}\n\n${integrations.length} integrations, ${actions} actions. One in detail: connection-vault catalog <integration>`
}

function describeOne ({ manifest }: Integration): string {
  const { conventions } = manifest
  const auth = manifest.auth.map((scheme) => [scheme.id, isLinked(scheme) ? 'linked in a browser' : 'pasted', scheme.fields.map((field) => `${field.name}${field.secret ? '*' : ''}`).join(', ')])
  const bodyOf = (action: Action) => action.files !== undefined ? 'multipart' : action.body ?? (action.input?.body === undefined ? '' : conventions.body)
  const actions = manifest.actions.map((action) => [action.name, action.effect, action.method, `${action.server ?? ''}${action.path}`, bodyOf(action), action.title])
  return [
    `${manifest.name} (${manifest.id}), ${manifest.category}${manifest.docs === undefined ? '' : `: ${manifest.docs}`}`,
    table(['auth', 'how', 'fields (* secret)'], auth),
    table(['action', 'effect', 'method', 'path', 'body', 'what it does'], actions),
  ].join('\n\n')
}
