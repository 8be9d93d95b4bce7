import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'

/** Agents that wait for work which never comes: on each line of standard input one enrolment's id, on standard output what they have seen. */
const { VAULT_URL: url = '', AGENTS: ids = '' } = process.env
const { publicKey, privateKey } = generateKeyPairSync('ed25519')
console.log(`key ${publicKey.export({ format: 'jwk' }).x ?? ''}`)

const post = async (path: string, body: object, token?: string) => await fetch(`${url}/v1/agent/${path}`, {
  method: 'POST', headers: { 'content-type': 'application/json', ...token !== undefined && { authorization: `Bearer ${token}` } }, body: JSON.stringify(body),
})

const ask = async (path: string, body: object, token?: string) => {
  let response = await post(path, body, token)
  // A thousand of them come at once, as after a restart: some are asked to come again, and do at a time of their own.
  while (response.status === 503) {
    await response.body?.cancel()
    await wait((Number(response.headers.get('retry-after')) + Math.random()) * 1_000)
    response = await post(path, body, token)
  }
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text) as Record<string, string>
}
const signed = (challenge: string, key: KeyObject) => sign(null, Buffer.from(`connection-vault agent token 1\n${challenge}`), key).toString('base64url')

async function live (id: string): Promise<void> {
  const challenge = (await ask('challenge', { agent_id: id }))?.['challenge'] ?? ''
  const token = (await ask('token', { challenge, signature: signed(challenge, privateKey) }))?.['access_token'] ?? ''
  await ask('announce', { sdk_version: 'bench', protocol_version: 1, host: id, actions: [{ name: 'nothing', effect: 'read', input: {} }] }, token)
  for (;;) {
    const asked = ask('poll', { capacity: 1, wait_seconds: 20 }, token)
    console.log('held')
    await asked
    console.log('answered')
  }
}

// The bench puts the key into the database and says go.
process.stdin.once('data', () => {
  for (const id of ids.split(',')) live(id).catch((error: unknown) => { console.error(error); process.exit(1) })
})
