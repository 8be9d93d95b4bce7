import { readFileSync } from 'node:fs'
import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { parse } from 'yaml'
import { ERRORS } from '../../src/errors.ts'
import { ROUTE_TABLE } from '../../src/http/index.ts'

interface Operation {
  readonly operationId: string
  readonly security?: object[]
  readonly responses: Record<string, { description: string, content?: Record<string, object> }>
}

const document = parse(readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')) as { paths: Record<string, Record<string, Operation>> }

t.test('openapi.yaml is OpenAPI 3.1', async (t) => {
  const { valid, errors } = await new Validator().validate(structuredClone(document))
  t.ok(valid, JSON.stringify(errors))
})

t.test('it has every route, and each route its problems', async (t) => {
  const described = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`, operation] as const))
  const expected = Object.entries(ROUTE_TABLE).filter(([, access]) => access !== 'open').map(([route]) => route)
  t.same(described.map(([route]) => route).toSorted(), expected.toSorted())
  t.equal(new Set(described.map(([, operation]) => operation.operationId)).size, described.length)
  for (const [route, operation] of described) {
    t.same(operation.security, [{ bearer: [] }], route)
    const codes = Object.entries(operation.responses).flatMap(([status, response]) => {
      t.not(response.description, 'Default Response', `${route} ${status} is described`)
      if (Number(status) < 400) return []
      t.ok(response.content?.['application/problem+json'], `${route} ${status} is a problem document`)
      return (/^Codes: (.*)\.$/.exec(response.description)?.[1] ?? '').split(', ').map((code) => [code, status] as const)
    })
    for (const [code, status] of codes) t.equal(ERRORS[code as keyof typeof ERRORS]?.status, Number(status), `${route}: ${code}`)
    for (const code of ['unauthenticated', 'insufficient_scope', 'rate_limited']) t.ok(codes.some(([one]) => one === code), `${route}: ${code}`)
  }
})

t.test('whatever uses a token says what renewing it may come to', async (t) => {
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item))
  for (const id of ['resolveConnection', 'testConnection', 'invokeAction', 'sendRequest', 'refreshConnection']) {
    const codes = Object.values(operations.find(({ operationId }) => operationId === id)?.responses ?? {}).map(({ description }) => description).join()
    for (const code of ['connection_needs_reauth', 'oauth_app_broken', 'refresh_failed']) t.match(codes, code, id)
  }
})
