import { connect, type Socket } from 'node:net'
import t from 'tap'
import { eventually, startTestVault } from '../support/vault.ts'

/** Large bodies that are announced and do not come. */
const vault = await startTestVault()
t.teardown(() => vault.close())
const CONNECTION = `conn_${'0'.repeat(26)}`

/** Announces the most a route reads and sends next to nothing. */
function stall (workspace: string, token: string): { socket: Socket, answer: () => string } {
  const { hostname, port } = new URL(vault.urls.internal)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.on('data', (chunk) => { text += chunk.toString() })
  socket.on('error', () => {})
  socket.write(`POST /v1/workspaces/${workspace}/connections/${CONNECTION}/invoke HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 16777216\r\n\r\n{`)
  return { socket, answer: () => text.slice(0, 12) }
}

const sendLarge = async (workspace: string, token: string) => (await vault.request('POST', `/v1/workspaces/${workspace}/connections/${CONNECTION}/invoke`, {
  token, body: { environment: 'live', action: 'x', input: { file: 'a'.repeat(2_000_000) } },
})).status

t.test('one token has half of what there is', async (t) => {
  const [greedy, other] = [await vault.mint({ preset: 'runtime', workspaces: ['greedy'] }), await vault.mint({ preset: 'runtime', workspaces: ['other'] })]
  const stalled = Array.from({ length: 16 }, () => stall('greedy', greedy))
  await eventually(async () => stalled.filter(({ answer }) => answer() === 'HTTP/1.1 503').length === 8)
  t.equal(await sendLarge('greedy', greedy), 503)
  t.equal(await sendLarge('other', other), 404, 'read to its end, and looked at')
  for (const { socket } of stalled) socket.destroy()
  await eventually(async () => await sendLarge('greedy', greedy) === 404)
  t.pass('and all of it is given back')
})

t.test('who leaves at once holds nothing', async (t) => {
  const hasty = await vault.mint({ preset: 'runtime', workspaces: ['hasty'] })
  for (let times = 0; times < 5; times++) {
    const stalled = Array.from({ length: 8 }, () => stall('hasty', hasty))
    await new Promise((resolve) => { setTimeout(resolve, times * 3) })
    for (const { socket } of stalled) socket.destroy()
  }
  await eventually(async () => await sendLarge('hasty', hasty) === 404)
  t.pass('as much as before')
})
