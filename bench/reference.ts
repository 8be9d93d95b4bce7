import Fastify from 'fastify'
import pg from 'pg'

/** What everything is measured against: Fastify, a pool, one SELECT of one row by its key. */
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 })
const app = Fastify()
app.get<{ Params: { workspace: string, id: string } }>('/:workspace/:id', async (request, reply) => {
  const { rows } = await pool.query('select id, workspace_id, environment, integration, name, config, labels from connections where workspace_id = $1 and id = $2', [request.params.workspace, request.params.id])
  return rows[0] ?? await reply.code(404).send()
})
console.log(await app.listen({ host: '127.0.0.1', port: 0 }))
