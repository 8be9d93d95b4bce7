import { wrapSecret } from '../../src/crypto/wrap.ts'
import type { GrantOutcome, OAuthClient, OAuthProtocol, OAuthProvider } from '../../src/oauth/index.ts'

let refs = 0

/** An app of a provider that keeps to the RFCs, but for what a test changes. */
export function sampleClient (urls: { tokenUrl: string, authorizeUrl?: string }, changes: Partial<Omit<OAuthClient, 'provider' | 'clientSecret'>> & { provider?: Partial<OAuthProvider>, secret?: string } = {}): OAuthClient {
  const { provider, secret = 'app-secret/with+signs=and~more', ...rest } = changes
  return {
    ref: `app_${refs++}`,
    clientId: 'client-1.app',
    clientSecret: wrapSecret(secret),
    redirectUri: 'https://vault.example/oauth/callback/app_1',
    provider: sampleProvider({ authorizeUrl: 'https://provider.example/authorize', ...urls, ...provider }),
    ...rest,
  }
}

export function sampleProvider (changes: Partial<OAuthProvider> = {}): OAuthProvider {
  return {
    authorizeUrl: 'https://provider.example/authorize',
    tokenUrl: 'https://provider.example/token',
    scope: { separator: ' ', parameter: 'scope' },
    authorizeParameters: {},
    pkce: 'use',
    clientAuth: 'basic',
    tokenRequest: 'form',
    answer: {},
    errors: [],
    accessTokenSeconds: null,
    ...changes,
  }
}

/** A refresh whose answer is read at once. */
export async function refresh (protocol: OAuthProtocol, client: OAuthClient, request: Parameters<OAuthProtocol['requestRefresh']>[1]): Promise<GrantOutcome> {
  const reply = await protocol.requestRefresh(client, request)
  return reply.kind === 'answered' ? protocol.judgeRefresh(client, { refreshToken: request.refreshToken, answer: reply.answer }) : reply
}
