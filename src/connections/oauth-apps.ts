import { isLinked, type Catalog, type Manifest } from '../catalog/index.ts'
import { VaultError, type FieldError } from '../errors.ts'
import type { AppOwner, Environment } from '../ids.ts'
import type { AppCaller, AppSettings, OAuthApps } from '../oauth/index.ts'
import { formatEtag } from '../revision.ts'
import type { AppPlace, AppRow } from '../store/index.ts'
import { redirectUri, requireOAuth, tokenHosts } from './grant.ts'

/** An app as it was entered; which hosts its secret may be sent to is the integration's to say. */
export type EnteredApp = Omit<AppSettings, 'hosts'>

/** What those who manage apps see. */
export interface PresentedApp {
  readonly id: AppRow['id']
  readonly integration: string
  readonly environment: Environment
  readonly workspace_id: string | null
  readonly client_id: string
  readonly client_secret_preview: string
  /** The secret before is valid as well until then. */
  readonly previous_secret_until: string | null
  /** To be registered with the provider, exactly as it is. */
  readonly redirect_uri: string
  readonly scopes: Readonly<Record<string, readonly string[]>>
  readonly created_by: string
  readonly created_at: string
  readonly updated_by: string
  readonly updated_at: string
  readonly etag: string
}

export interface OAuthAppKeeper {
  /** Throws `integration_unknown`, `environment_mismatch`, `oauth_app_invalid`, `etag_mismatch`. */
  put (place: AppPlace, entered: EnteredApp, caller: AppCaller): Promise<{ app: PresentedApp, created: boolean }>
  get (place: AppPlace): Promise<PresentedApp>
  list (owner: AppOwner, environments: readonly Environment[]): Promise<PresentedApp[]>
  remove: OAuthApps['remove']
}

interface Options {
  readonly catalog: Catalog
  readonly oauth: { readonly apps: OAuthApps }
  readonly publicUrl: () => string
}

/** RFC 6749, appendix A: client ids, secrets and scopes are printable ASCII. */
const PRINTABLE = /^[\x21-\x7e]+$/

/** OAuth apps as operators and workspaces enter them. */
export function createOAuthAppKeeper ({ catalog, oauth: { apps }, publicUrl }: Options): OAuthAppKeeper {
  const present = (app: AppRow): PresentedApp => {
    const manifest = catalog.find(app.integration)?.manifest
    return {
      id: app.id, integration: app.integration, environment: app.environment, workspace_id: app.workspace_id === '' ? null : app.workspace_id,
      client_id: app.client_id, client_secret_preview: app.preview, previous_secret_until: app.previous_until?.toISOString() ?? null,
      redirect_uri: redirectUri(publicUrl(), app.id), scopes: { ...manifest && defaultScopes(manifest), ...app.scopes },
      created_by: app.created_by, created_at: app.created_at.toISOString(), updated_by: app.updated_by, updated_at: app.updated_at.toISOString(),
      etag: formatEtag(app.revision),
    }
  }
  return Object.freeze({
    put: async (place: AppPlace, entered: EnteredApp, caller: AppCaller) => {
      const { manifest } = catalog.require(place.integration)
      if (!manifest.environments.includes(place.environment)) throw new VaultError('environment_mismatch', { detail: `${manifest.name} can be connected in: ${manifest.environments.join(', ')}.` })
      const errors = judgeApp(manifest, entered)
      if (errors.length > 0) throw new VaultError('oauth_app_invalid', { detail: `The app does not fit ${manifest.name}.`, errors })
      const { app, created } = await apps.put(place, { ...entered, hosts: tokenHosts(manifest, place.environment) }, caller)
      return { app: present(app), created }
    },
    get: async (place: AppPlace) => present(await apps.get(place)),
    list: async (owner: AppOwner, environments: readonly Environment[]) => (await apps.list(owner, environments)).map(present),
    remove: apps.remove,
  })
}

function defaultScopes (manifest: Manifest): Record<string, readonly string[]> {
  return Object.fromEntries(manifest.auth.filter(isLinked).map((scheme) => [scheme.id, requireOAuth(scheme).scopes.default]))
}

function judgeApp (manifest: Manifest, entered: EnteredApp): FieldError[] {
  const errors: FieldError[] = []
  const schemes = manifest.auth.filter(isLinked)
  if (schemes.length === 0) return [{ pointer: '/integration', message: `${manifest.name} is not linked by OAuth: its credentials are pasted` }]
  if (!PRINTABLE.test(entered.clientId)) errors.push({ pointer: '/client_id', message: 'holds a space or a character that no client id has: copy it again' })
  for (const [id, scopes] of Object.entries(entered.scopes ?? {})) {
    const scheme = schemes.find((one) => one.id === id)
    const at = `/scopes/${id.slice(0, 64)}`
    if (scheme === undefined) errors.push({ pointer: at, message: `is no way to sign in here; there are: ${schemes.map((one) => one.id).join(', ')}` })
    const separator = scheme?.oauth?.scopes.separator ?? ' '
    scopes.forEach((scope, index) => {
      if (!PRINTABLE.test(scope)) errors.push({ pointer: `${at}/${index}`, message: 'holds a space or a character that no scope has: one scope each' })
      else if (scope.includes(separator)) errors.push({ pointer: `${at}/${index}`, message: `holds "${separator}", which separates scopes here: one scope each` })
    })
  }
  return errors
}
