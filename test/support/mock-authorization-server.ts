import { OAuth2Server, type MutableResponse } from 'oauth2-mock-server'

/** An authorization server that grants everything at once, and whose next token answer a test may rewrite. */
export interface MockAuthorizationServer {
  readonly url: string
  /** `host:port`, as the operator's list of exceptions has it. */
  readonly endpoint: string
  readonly authorizeUrl: string
  readonly tokenUrl: string
  readonly revokeUrl: string
  /** Changes the next answer of the token endpoint. */
  rewriteNext (change: (answer: MutableResponse) => void): void
  /** Where the browser ends: the redirect URI with a code. */
  consent (authorizeUrl: string): Promise<string>
  close (): Promise<void>
}

export async function startMockAuthorizationServer (): Promise<MockAuthorizationServer> {
  const server = new OAuth2Server()
  await server.issuer.keys.generate('RS256')
  await server.start(0, '127.0.0.1')
  const endpoint = `127.0.0.1:${server.address().port}`
  const url = `http://${endpoint}`
  return {
    url,
    endpoint,
    authorizeUrl: `${url}/authorize`,
    tokenUrl: `${url}/token`,
    revokeUrl: `${url}/revoke`,
    rewriteNext: (change) => { server.service.once('beforeResponse', change) },
    consent: async (authorizeUrl) => {
      const answer = await fetch(authorizeUrl, { redirect: 'manual' })
      return answer.headers.get('location') ?? ''
    },
    close: async () => { await server.stop() },
  }
}
