import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { buildRequest, buildTestRequest, type BuiltRequest } from '../../src/calls/index.ts'
import { describeBody } from '../../src/calls/encode.ts'
import { loadCatalog, type Manifest } from '../../src/catalog/index.ts'
import { sample } from '../support/sample.ts'
import { readDocument, readText, type Vendor } from './documents.ts'
import { checkGraphql } from './check-graphql.ts'
import { checkOpenApi } from './check-openapi.ts'

/** What is checked of an action, in the order of the table's columns. */
export const CHECKS = ['operation', 'parameters known', 'parameters sent', 'media type', 'body known', 'body complete', 'examples valid'] as const
export type Check = typeof CHECKS[number]

/** What an action is found to differ in; `detail` is empty when it does not. */
export interface Finding {
  readonly check: Check
  readonly detail: string
}

/** A difference that stays, and why. */
interface Difference {
  readonly integration: string
  readonly action: string
  readonly check: Check
  /** A part of the finding's text. */
  readonly says: string
  readonly because: string
}

export interface Row {
  readonly action: string
  /** `ok`, `known` for a listed difference, or what is wrong. */
  readonly results: Readonly<Record<Check, string>>
}

export interface Report {
  readonly integration: string
  readonly rows: readonly Row[]
  /** Findings that no listed difference explains. */
  readonly problems: readonly string[]
}

/** The smallest and the fullest request of an action, built from its own schema. */
export interface Samples {
  readonly least: BuiltRequest
  readonly most: BuiltRequest
}

const DIFFERENCES = parse(readFileSync(new URL('./differences.yaml', import.meta.url), 'utf8')) as Difference[]
const catalog = loadCatalog()

/** Holds every action of an integration, and its test request, against the vendor's document. */
export async function checkVendor (vendor: Vendor): Promise<Report> {
  const { manifest, requireAction } = catalog.require(vendor.id)
  const options = { manifest, baseUrl: vendor.baseUrl, fields: [], injected: [] }
  const check = vendor.file.endsWith('.graphql') ? checkGraphql(readText(vendor)) : checkOpenApi(readDocument(vendor), vendor, injectedNames(manifest))
  const used = new Set<Difference>()
  const problems: string[] = []
  const judge = (action: string, findings: readonly Finding[]): Row => {
    const results = Object.fromEntries(CHECKS.map((name) => [name, 'ok'])) as Record<Check, string>
    for (const { check: name, detail } of findings.filter((finding) => finding.detail !== '')) {
      const known = DIFFERENCES.find((one) => one.integration === vendor.id && one.action === action && one.check === name && detail.includes(one.says))
      if (known === undefined) problems.push(`${vendor.id}.${action}: ${name}: ${detail}`)
      else used.add(known)
      results[name] = known === undefined ? 'differs' : 'known'
    }
    return { action, results }
  }

  const rows = manifest.actions.map(({ name }) => {
    const action = requireAction(name)
    const built = (which: 'required' | 'all') => buildRequest(action, sample(action.schema, which) as Record<string, unknown>, options)
    return judge(name, check({ least: built('required'), most: built('all') }))
  })
  const test = buildTestRequest(manifest, { baseUrl: vendor.baseUrl, config: {} })
  rows.push(judge('(test)', check({ least: test, most: test })))
  const stale = DIFFERENCES.filter((one) => one.integration === vendor.id && !used.has(one))
  problems.push(...stale.map((one) => `${vendor.id}.${one.action}: ${one.check}: the listed difference is not there (any more): ${one.says}`))
  return { integration: vendor.id, rows, problems }
}

/** The body as it is written, files apart. */
export function bodyOf (request: BuiltRequest): { contentType: string, value: Record<string, unknown> } | undefined {
  if (request.body === undefined) return undefined
  const { contentType } = describeBody(request.body)
  const { shown } = describeBody({ ...request.body, encoding: request.body.encoding === 'multipart' ? 'multipart' : 'json' })
  const value = Object.fromEntries(Object.entries(shown as object).map(([name, member]) => [name, request.body?.files?.includes(name) === true ? 'bytes' : member as unknown]))
  return { contentType, value }
}

/** Headers and parameters that a connection's credential brings along. */
function injectedNames (manifest: Manifest): ReadonlySet<string> {
  const injections = manifest.auth.flatMap((scheme) => scheme.inject)
  return new Set(injections.map((one) => 'header' in one ? one.header.toLowerCase() : 'query' in one ? one.query : 'authorization'))
}
