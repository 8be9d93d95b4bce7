import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import type { TestVault } from './vault.ts'

export interface AgentKeys { readonly publicKey: string, readonly privateKey: KeyObject }

export function newAgentKeys (): AgentKeys {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return { publicKey: publicKey.export({ format: 'jwk' }).x ?? '', privateKey }
}

export function signChallenge ({ privateKey }: AgentKeys, challenge: string): string {
  return sign(null, Buffer.from(`connection-vault agent token 1\n${challenge}`), privateKey).toString('base64url')
}

/** The wire as an agent speaks it, one request at a time: to say what no well-made agent says. */
export function createWire (vault: Pick<TestVault, 'urls' | 'request'>) {
  const call = async (path: string, body: unknown, token?: string, signal?: AbortSignal) => {
    const response = await fetch(`${vault.urls.public}/v1/agent/${path}`, {
      method: 'POST', headers: { 'content-type': 'application/json', ...token !== undefined && { authorization: `Bearer ${token}` } },
      body: typeof body === 'string' ? body : JSON.stringify(body), ...signal && { signal },
    })
    const text = await response.text()

    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) }
  }
  const newCode = async (group: string, workspace = 'acme') => (await vault.request('POST', `/v1/workspaces/${workspace}/agent-groups/${group}/enrolment-codes`)).body.code as string
  const enrol = async (group: string, workspace = 'acme') => {
    const keys = newAgentKeys()
    const { body } = await call('enrol', { code: await newCode(group, workspace), public_key: keys.publicKey, name: 'box 1' })
    return { id: body.agent_id as string, keys }
  }
  const login = async ({ id, keys }: { id: string, keys: AgentKeys }) => {
    const { challenge } = (await call('challenge', { agent_id: id })).body
    return await call('token', { challenge, signature: signChallenge(keys, challenge) })
  }
  /** An agent that is in, and has said what it runs. */
  const join = async (group: string, actions: readonly object[], workspace = 'acme') => {
    const agent = await enrol(group, workspace)
    const token = (await login(agent)).body.access_token as string
    const announced = await call('announce', { sdk_version: '0.1.0', protocol_version: 1, host: 'erp-1', actions }, token)
    if (announced.status !== 200) throw new Error(JSON.stringify(announced.body))
    const poll = async (waitSeconds = 0, capacity = 10, signal?: AbortSignal) => await call('poll', { capacity, wait_seconds: waitSeconds }, token, signal)
    const of = (offer: { invocation_id: string, lease_token: string }) => {
      const act = async (verb: string, more: object = {}) => await call(`invocations/${offer.invocation_id}/${verb}`, { lease_token: offer.lease_token, ...more }, token)
      return { claim: async () => await act('claim'), heartbeat: async () => await act('heartbeat'), result: async (more: object) => await act('result', more), chunk: async (number: number, text: string) => await act('chunks', { number, text }) }
    }
    return { ...agent, token, poll, of }
  }
  return { call, newCode, enrol, login, join }
}
