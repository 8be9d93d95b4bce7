import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { buildRequest, buildTestRequest, type BuiltRequest } from '../../src/calls/index.ts'
import { encodeBody } from '../../src/calls/encode.ts'
import { loadCatalog } from '../../src/catalog/index.ts'
import { sample } from '../support/sample.ts'

/**
 * Every action of Stripe, Onfido and Jira held against the vendor's own document: the request that
 * is built exists there, says all that is required, and nothing the document does not know.
 */
const SPECS = new URL('../../../shared/data/specs/', import.meta.url)

interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly $ref?: string
}

interface Schema {
  readonly $ref?: string
  readonly properties?: Record<string, Schema>
  readonly required?: string[]
  readonly allOf?: Schema[]
  readonly anyOf?: Schema[]
  readonly oneOf?: Schema[]
}

interface Operation {
  readonly parameters?: Parameter[]
  readonly requestBody?: { readonly $ref?: string, readonly required?: boolean, readonly content: Record<string, { readonly schema: Schema }> }
}

type PathItem = Record<string, Operation> & { readonly parameters?: Parameter[] }

interface Document {
  readonly paths: Record<string, PathItem>
}

const VENDORS = [
  { id: 'stripe', file: 'stripe_spec3_2023-09.yaml', base: '', baseUrl: 'https://api.stripe.com' },
  { id: 'onfido', file: 'onfido.json', base: '/v3.6', baseUrl: 'https://api.eu.onfido.com/v3.6' },
  { id: 'jira', file: 'jira_platform_2025-12.json', base: '', baseUrl: 'https://acme.atlassian.net' },
]

const catalog = loadCatalog()

for (const vendor of VENDORS) {
  const file = new URL(vendor.file, SPECS)
  const skip = existsSync(file) ? false : `the vendors’ documents are not here (${vendor.file}); they come with the team’s shared folder`
  t.test(`${vendor.id} against ${vendor.file}`, { skip }, async (t) => {
    const document = parse(readFileSync(file, 'utf8'), { maxAliasCount: -1 }) as Document
    const deref = <T extends { readonly $ref?: string }>(value: T): T => {
      if (value.$ref === undefined) return value
      return deref(value.$ref.slice(2).split('/').reduce<unknown>((at, name) => (at as Record<string, unknown>)[name.replaceAll('~1', '/')], document) as T)
    }
    const collect = (schema: Schema): { names: Set<string>, required: Set<string> } => {
      const own = deref(schema)
      const names = new Set(Object.keys(own.properties ?? {}))
      const required = new Set(own.required ?? [])
      for (const part of [...own.allOf ?? [], ...own.anyOf ?? [], ...own.oneOf ?? []]) {
        const inner = collect(part)
        for (const name of inner.names) names.add(name)
        if (own.allOf?.includes(part) === true) for (const name of inner.required) required.add(name)
      }
      return { names, required }
    }
    const find = (request: BuiltRequest): [string, Operation, Parameter[]] | undefined => {
      const path = request.url.pathname.slice(vendor.base.length)
      const pattern = (template: string) => new RegExp(`^${template.replaceAll(/[.$]/g, '\\$&').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`)
      const candidates = Object.entries(document.paths).filter(([template]) => pattern(template).test(path))
      // A literal segment beats a parameter.
      const [template, item] = candidates.sort(([a], [b]) => a.split('{').length - b.split('{').length)[0] ?? []
      const operation = item?.[request.method.toLowerCase()]
      if (template === undefined || operation === undefined) return undefined
      return [template, operation, [...item?.parameters ?? [], ...operation.parameters ?? []].map(deref)]
    }

    const { manifest, requireAction } = catalog.require(vendor.id)
    const options = { manifest, baseUrl: vendor.baseUrl, fields: [], injected: ['authorization'] }
    let checks = 0
    for (const { name, path } of manifest.actions) {
      const action = requireAction(name)
      const least = buildRequest(action, sample(action.schema, 'required') as Record<string, unknown>, options)
      const most = buildRequest(action, sample(action.schema, 'all') as Record<string, unknown>, options)
      const found = find(least)
      if (found === undefined) {
        t.fail(`${name}: ${least.method} ${least.url.pathname} is not in the document`)
        continue
      }
      const [template, operation, parameters] = found
      const wildcards = (text: string) => text.replaceAll(/\{[^}]+\}/g, '{}')
      t.equal(wildcards(template), wildcards(path), `${name}: ${least.method} ${template}`)
      const query = (request: BuiltRequest) => new Set([...request.url.searchParams.keys()].map((key) => key.replace(/\[.*$/, '')))
      const known = new Set(parameters.filter((one) => one.in === 'query').map((one) => one.name))
      t.same([...query(most)].filter((one) => !known.has(one)), [], `${name}: every query parameter is known`)
      const required = parameters.filter((one) => one.in === 'query' && one.required === true).map((one) => one.name)
      t.same(required.filter((one) => !query(least).has(one)), [], `${name}: every required query parameter is sent`)

      const body = operation.requestBody === undefined ? undefined : deref(operation.requestBody)
      t.equal(most.body === undefined || body !== undefined, true, `${name}: a body only where the document has one`)
      if (body?.required === true) t.ok(least.body, `${name}: the required body is sent`)
      if (most.body !== undefined && body !== undefined) {
        const { contentType } = encodeBody(most.body.value, most.body.encoding)
        t.ok(contentType in body.content, `${name}: the body is ${contentType}`)
        const { names, required: needed } = collect(body.content[contentType]?.schema ?? {})
        t.same(Object.keys(most.body.value as object).filter((one) => !names.has(one)), [], `${name}: every property of the body is known`)
        t.same([...needed].filter((one) => !Object.hasOwn(least.body?.value as object, one)), [], `${name}: every required property is sent`)
      }
      checks++
    }
    t.equal(checks, manifest.actions.length, 'all actions were checked')
    const test = find(buildTestRequest(manifest, vendor.baseUrl))
    t.ok(test, 'the test request exists too')
  })
}
