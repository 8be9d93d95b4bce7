import { linkCatalog } from './catalog.ts'
import type { TestDatabase } from './cluster.ts'
import { Person, type Page } from './person.ts'
import { consent, type RegisteredClient, type Standin } from './standins/index.ts'
import { startTestVault, type Answer, type TestVault } from './vault.ts'

/** Where the host product lives. */
export const HOST = 'https://app.example.com'
export const RETURN_URL = `${HOST}/connections/linked?tab=1`

export interface LinkVault extends TestVault {
  /** Registers an app with the stand-in and enters it in the vault. */
  enterApp (standin: Standin, place?: { workspace?: string, environment?: string, scopes?: Record<string, string[]> }): Promise<EnteredApp>
  /** What the host's backend asks for. */
  openSession (workspace: string, changes?: Record<string, unknown>): Promise<{ id: string, url: string }>
  complete (workspace: string, end: Returned, changes?: Record<string, unknown>): Promise<Answer>
  /** From the session to the connection: one person goes through all of it. Answers the connection. */
  link (workspace: string, how: LinkHow): Promise<Linked>
  /** Has the connection's own audit events, the newest last. */
  events (workspace: string, connection: string): Promise<{ event: string, outcome: string, reason: string | null, details: Record<string, unknown> | null }[]>
}

/** A connection as the vault presents it. */
export interface Linked {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly version: number
  readonly account: { readonly id: string, readonly label: string | null } | null
}

export interface EnteredApp {
  readonly id: string
  readonly client: RegisteredClient
  readonly redirectUri: string
}

export interface LinkHow {
  readonly integration: string
  readonly auth?: string | undefined
  readonly environment?: string
  readonly account?: string | undefined
  /** The label of the one chosen, where it is asked. */
  readonly choose?: string | undefined
  readonly session?: Record<string, unknown>
}

export interface Returned {
  readonly sessionId: string
  readonly code: string
}

export async function startLinkVault (
  standins: Readonly<Record<string, Pick<Standin, 'url' | 'endpoint'>>>, settings: Record<string, string> = {}, on?: TestDatabase,
): Promise<LinkVault> {
  const endpoints = Object.values(standins).map(({ endpoint }) => endpoint)
  const vault = await startTestVault({
    CATALOG_DIR: linkCatalog(standins), EGRESS_ALLOW_PROVIDER: [...new Set(endpoints)].join(','), RETURN_ORIGINS: HOST, PRODUCT_NAME: 'Rapidfolio', ...settings,
  }, on)
  let sessions = 0
  const openSession: LinkVault['openSession'] = async (workspace, changes = {}) => {
    const reconnects = changes['connection_id'] !== undefined
    const answer = await vault.request('POST', `/v1/workspaces/${workspace}/connect-sessions`, {
      body: { environment: 'sandbox', actor: 'user-1', return_url: RETURN_URL, ...!reconnects && { name: `Linked ${++sessions}` }, ...changes },
    })
    if (answer.status !== 201) throw new Error(`no session: ${answer.text}`)
    return { id: answer.body.connect_session.id as string, url: answer.body.connect_url as string }
  }
  const complete: LinkVault['complete'] = async (workspace, { sessionId, code }, changes = {}) =>
    await vault.request('POST', `/v1/workspaces/${workspace}/connect-sessions/${sessionId}/complete`, { body: { completion_code: code, actor: 'user-1', ...changes } })

  return Object.assign(Object.create(vault, {}) as TestVault, {
    enterApp: async (standin: Standin, { workspace, environment = 'sandbox', scopes }: { workspace?: string, environment?: string, scopes?: Record<string, string[]> } = {}) => {
      const client = standin.register()
      const path = `/v1/${workspace === undefined ? '' : `workspaces/${workspace}/`}oauth-apps/${standin.id}/${environment}`
      const answer = await vault.request('PUT', path, { body: { client_id: client.id, client_secret: client.secret, ...scopes && { scopes } } })
      if (answer.status > 201) throw new Error(`no app: ${answer.text}`)
      const { id, redirect_uri: redirectUri } = answer.body as { id: string, redirect_uri: string }
      client.redirectUris.push(redirectUri)
      return { id, client, redirectUri }
    },
    openSession,
    complete,
    link: async (workspace: string, how: LinkHow) => {
      const { integration, environment = 'sandbox', session = {} } = how
      const { url } = await openSession(workspace, { ...session['connection_id'] === undefined && { integration }, environment, ...session })
      const end = returned(await consentAndChoose(new Person(), url, how))
      const answer = await complete(workspace, end)
      if (answer.status !== 200) throw new Error(`not completed: ${answer.text}`)
      return answer.body as Linked
    },
    events: async (workspace: string, connection: string) => {
      const answer = await vault.request('GET', `/v1/workspaces/${workspace}/audit-events?connection_id=${connection}&limit=100`)
      return (answer.body.audit_events as Awaited<ReturnType<LinkVault['events']>>).reverse()
    },
  })
}

/** Opens the link and goes on to the provider's consent page; answers its address. */
export async function goToProvider (person: Person, url: string, way: { integration: string, auth?: string | undefined }): Promise<string> {
  const page = await person.visit(`${url}?${new URLSearchParams({ integration: way.integration, ...way.auth !== undefined && { auth: way.auth } }).toString()}`)
  const left = await person.submit(page, {}, ({ fields }) => fields.some(({ name }) => name === 'auth'))
  if (left.leadsTo === undefined) throw new Error(`not sent to the provider: ${left.status} ${left.text}`)
  return left.leadsTo
}

/** All that a person does in the browser. Answers the last page. */
export async function consentAndChoose (person: Person, url: string, how: LinkHow): Promise<Page> {
  const { account, choose } = how
  const page = await person.visit(await consent(await goToProvider(person, url, how), account === undefined ? {} : { account }))
  const picker = page.forms.find(({ fields }) => fields.some(({ name }) => name === 'choice'))
  if (picker === undefined) return page
  if (choose === undefined) throw new Error(`asked to choose: ${page.text}`)
  const labels = [...page.html.matchAll(/<b>([^<]*)<\/b>/g)].map(([, label]) => label)
  return await person.submit(page, { choice: String(labels.indexOf(choose)) }, (form) => form === picker)
}

/** What the browser takes back to the host. */
export function returned (page: Page): Returned {
  const url = URL.parse(page.leadsTo ?? '')
  const code = url?.searchParams.get('completion_code')
  const sessionId = url?.searchParams.get('session_id')
  if (url?.origin !== HOST || code == null || sessionId == null) throw new Error(`not sent back: ${page.status} ${page.text}`)
  return { sessionId, code }
}
