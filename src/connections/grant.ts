import { endpointIn, fillTemplate, type AuthScheme, type Integration, type Manifest } from '../catalog/index.ts'
import type { SecretFields } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import type { Environment } from '../ids.ts'
import { CLIENT_ID, type GrantOutcome, type OAuthApps, type OAuthClient, type OAuthProtocol, type OAuthProvider } from '../oauth/index.ts'
import type { AppRow } from '../store/index.ts'

/** One way of an integration to get tokens. */
export interface GrantOf {
  readonly integration: Integration
  readonly scheme: AuthScheme
  readonly environment: Environment
  /** What URLs of the provider may name (a host the person entered). */
  readonly config: Readonly<Record<string, string>>
}

type OAuthManifest = NonNullable<AuthScheme['oauth']>

export function requireOAuth (scheme: AuthScheme): OAuthManifest {
  if (scheme.oauth === undefined) throw new VaultError('internal', { detail: `${scheme.id} is not had by OAuth.` })
  return scheme.oauth
}

/** The provider as the protocol needs it. Throws `config_invalid` when a URL needs config that is not there. */
export function describeProvider (of: GrantOf): OAuthProvider {
  const oauth = requireOAuth(of.scheme)
  const fill = (urls: string | Readonly<Record<string, string>>, config = of.config): string => {
    const filled = fillTemplate(endpointIn(urls, of.environment), config)
    if (filled === undefined || filled === '') throw new VaultError('config_invalid', { detail: `${of.integration.manifest.name} can’t be reached without its address.` })
    return filled
  }
  const { token_answer: answer, scopes } = oauth
  return {
    authorizeUrl: oauth.authorize_url === undefined ? '' : fill(oauth.authorize_url),
    tokenUrl: fill(oauth.token_url),
    issuer: oauth.issuer === undefined ? undefined : fill(oauth.issuer),
    revoke: oauth.revoke && { url: fill(oauth.revoke.url, { ...of.config, client_id: CLIENT_ID }), style: oauth.revoke.style },
    scope: { separator: scopes.separator ?? ' ', parameter: scopes.parameter ?? 'scope' },
    authorizeParameters: oauth.authorize_parameters ?? {},
    pkce: oauth.pkce,
    clientAuth: oauth.client_auth,
    tokenRequest: oauth.token_request,
    answer: {
      failed: answer.failed, accessToken: answer.access_token, refreshToken: answer.refresh_token, expiresIn: answer.expires_in, scope: answer.scope,
      refreshExpiresIn: answer.refresh_expires_in, expiresAtMs: answer.expires_at_ms, config: answer.config, account: answer.account, holder: answer.holder,
    },
    errors: oauth.errors ?? [],
    accessTokenSeconds: oauth.access_token_seconds,
  }
}

/** Hosts that a client secret may be sent to. */
export function tokenHosts (manifest: Manifest, environment: Environment): string[] {
  const hosts = manifest.auth.flatMap(({ oauth }) => oauth === undefined ? [] : [oauth.token_url, oauth.revoke?.url])
    .flatMap((urls) => urls === undefined ? [] : [endpointIn(urls, environment)])
    .map((url) => URL.parse(url.replaceAll(/\{[^}]*\}/g, 'x'))?.host ?? '')
  return [...new Set(hosts)].filter((host) => host !== '')
}

/** Where the provider sends the browser back to: an address for each app, so that no code can be played into another. */
export function redirectUri (publicUrl: string, appId: string): string {
  return `${publicUrl}/oauth/callback/${appId}`
}

/** An app that is about to be used with a provider. */
export interface AppUse {
  readonly app: AppRow
  readonly provider: OAuthProvider
  readonly publicUrl: string
}

/**
 * The app as a client, once for each of its secrets that is valid, the current one first. Throws
 * `oauth_app_broken` when the provider's endpoints have moved to hosts the secret was not entered for.
 */
export async function openClients (apps: Pick<OAuthApps, 'open'>, { app, provider, publicUrl }: AppUse): Promise<OAuthClient[]> {
  const secrets = await apps.open(app)
  const hosts = [provider.tokenUrl, ...provider.revoke === undefined ? [] : [provider.revoke.url]].map((url) => new URL(url).host)
  return secrets.map(({ id, secret, hosts: sealedFor }) => {
    if (!hosts.every((host) => sealedFor.includes(host))) {
      throw new VaultError('oauth_app_broken', { detail: 'The provider’s token endpoint is not the one the app’s secret was entered for: enter the secret again.' })
    }
    return { ref: `${id} ${JSON.stringify(provider)} ${app.client_id}`, provider, clientId: app.client_id, clientSecret: secret, redirectUri: redirectUri(publicUrl, app.id) }
  })
}

/** Asks with the current secret, and where the provider does not know it (yet), with the one before. */
export async function withEachSecret (clients: readonly OAuthClient[], ask: (client: OAuthClient) => Promise<GrantOutcome>): Promise<GrantOutcome> {
  let outcome: GrantOutcome = { kind: 'config_error', error: 'no_secret', description: 'The app has no valid client secret.' }
  for (const client of clients) {
    outcome = await ask(client)
    // Refused for its secret, nothing else of the request was looked at (RFC 6749, 5.2).
    if (outcome.kind !== 'config_error') return outcome
  }
  return outcome
}

/**
 * A token by the connection's own client (RFC 6749, 4.4), asked for at a host that the client was
 * sealed for and nowhere else, whatever the manifest says by now. What is wrong with that client is
 * wrong with the credential, not with an app.
 */
export async function issueToken (oauth: Pick<OAuthProtocol, 'clientCredentials'>, of: GrantOf & { readonly sealedFor: readonly string[] }, secrets: SecretFields): Promise<GrantOutcome> {
  const { client, scopes } = requireOAuth(of.scheme)
  const clientId = client && of.config[client.id]
  const clientSecret = client && secrets[client.secret]
  if (clientId === undefined || clientSecret === undefined) throw new VaultError('internal', { detail: 'The connection holds no client.' })
  const provider = describeProvider(of)
  const { host } = new URL(provider.tokenUrl)
  if (!of.sealedFor.includes(host)) {
    return { kind: 'rejected', error: 'token_host_changed', description: `The token endpoint has moved to ${host}, which the credential was not entered for: rotate the connection with the credential.` }
  }
  const outcome = await oauth.clientCredentials({ ref: '', provider, clientId, clientSecret, redirectUri: '' }, { scopes: scopes.default })
  return outcome.kind === 'config_error' ? { ...outcome, kind: 'rejected' } : outcome
}
