import Fastify from 'fastify'
import { Agent, request } from 'undici'

/** What invoke is measured against: Fastify, one call by undici, the answer parsed and passed on. Nobody is asked who they are. */
const provider = process.env['PROVIDER_URL'] ?? ''
const dispatcher = new Agent({ connections: 128 })
const app = Fastify()
app.post('/hop', async () => {
  const answer = await request(`${provider}/v1/balance`, { dispatcher, headers: { authorization: 'Bearer none', accept: 'application/json' } })
  return { status: answer.statusCode, output: await answer.body.json() }
})
console.log(await app.listen({ host: '127.0.0.1', port: 0 }))
