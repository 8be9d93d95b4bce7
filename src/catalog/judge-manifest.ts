import type { Action, AuthScheme, Manifest } from './manifest.ts'
import { judgeOAuth } from './judge-oauth.ts'
import { hostMatches, serverTemplate, templateFields } from './servers.ts'

/** Headers that a caller, and so an action's input, can never set. */
const RESERVED_HEADERS = new Set(['authorization', 'proxy-authorization', 'host', 'cookie', 'content-length', 'transfer-encoding', 'connection',
  'keep-alive', 'upgrade', 'te', 'trailer', 'expect', 'content-type', 'accept-encoding', 'proxy-connection'])

export function isReservedHeader (name: string): boolean {
  return RESERVED_HEADERS.has(name.toLowerCase()) || name.toLowerCase().startsWith('proxy-')
}

/** What the schema of manifests can't say; each line is a JSON pointer and what is wrong there. */
export function judgeManifest (manifest: Manifest): string[] {
  return [
    ...judgeUnique('/auth', manifest.auth.map((scheme) => scheme.id)),
    ...judgeUnique('/actions', manifest.actions.map((action) => action.name)),
    ...manifest.auth.flatMap((scheme, index) => judgeScheme(manifest, scheme, `/auth/${index}`)),
    ...manifest.actions.flatMap((action, index) => judgeAction(manifest, action, `/actions/${index}`)),
    ...judgeServer(manifest, manifest.test?.server, '/test/server'),
    ...judgeHeaders(manifest.conventions.headers, '/conventions/headers'),
  ]
}

function judgeUnique (at: string, names: readonly string[]): string[] {
  const seen = new Set<string>()
  return names.filter((name) => seen.size === seen.add(name).size).map((name) => `${at}: ${name} stands twice`)
}

function judgeScheme (manifest: Manifest, scheme: AuthScheme, at: string): string[] {
  const problems = judgeUnique(`${at}/fields`, scheme.fields.map((field) => field.name))
  const known = new Set(scheme.fields.map((field) => field.name))
  const config = new Set(scheme.fields.filter((field) => !field.secret).map((field) => field.name))
  for (const [index, injection] of scheme.inject.entries()) {
    const templates = 'basic' in injection ? [injection.basic.username, injection.basic.password] : [injection.value]
    for (const name of templates.flatMap(templateFields)) if (!known.has(name)) problems.push(`${at}/inject/${index}: {${name}} is no field`)
  }
  for (const [index, field] of scheme.fields.entries()) {
    if (field.pattern !== undefined && !isRegExp(field.pattern)) problems.push(`${at}/fields/${index}/pattern: is no regular expression`)
    if (field.default !== undefined && field.secret) problems.push(`${at}/fields/${index}/default: a secret has none`)
  }
  for (const [where, template] of [['path', manifest.test?.path], ['reaches/is', manifest.test?.reaches?.is]] as const) {
    for (const name of templateFields(template ?? '')) if (!config.has(name)) problems.push(`/test/${where}: {${name}} is no config field of ${scheme.id}`)
  }
  if (scheme.oauth !== undefined) problems.push(...judgeOAuth(manifest, scheme, `${at}/oauth`))
  for (const environment of manifest.environments) {
    const template = serverTemplate(manifest, scheme, environment)
    const fields = templateFields(template)
    if (template === '') problems.push(`/servers: ${environment} has none`)
    for (const name of fields) if (!config.has(name)) problems.push(`/servers/${environment}: {${name}} is no config field of ${scheme.id}`)
    const host = fields.length === 0 ? URL.parse(template)?.host : undefined
    if (fields.length === 0 && (host === undefined || !manifest.hosts.some((pattern) => hostMatches(pattern, host)))) problems.push(`/servers/${environment}: its host is not among /hosts`)
  }
  return problems
}

function judgeAction (manifest: Manifest, action: Action, at: string): string[] {
  const problems: string[] = []
  const properties = (place: string) => Object.keys((action.input?.[place as 'path']?.['properties'] ?? {}))
  const inPath = pathParameters(action.path).map(({ name }) => name)
  if (action.path.replaceAll(PARAMETER, '').search(/[{}?#]/) >= 0) problems.push(`${at}/path: can’t be read`)
  const declared = properties('path')
  for (const name of inPath) if (!declared.includes(name)) problems.push(`${at}/input/path: {${name}} of the path is missing`)
  for (const name of declared) if (!inPath.includes(name)) problems.push(`${at}/input/path: ${name} is not in the path`)
  for (const name of properties('header')) if (isReservedHeader(name)) problems.push(`${at}/input/header: ${name} can’t be set by a caller`)
  if (SAFE_METHODS.has(action.method) !== (action.effect === 'read') && action.method !== 'POST' && action.binding === undefined) problems.push(`${at}/effect: ${action.effect} does not go with ${action.method}`)
  if (action.input?.body !== undefined && (action.method === 'GET' || action.method === 'HEAD')) problems.push(`${at}/input/body: ${action.method} has none`)
  for (const [property, field] of Object.entries(action.from_credential ?? {})) {
    if (!properties('body').includes(property)) problems.push(`${at}/from_credential: ${property} is no property of the body`)
    if (!manifest.auth.some((scheme) => scheme.fields.some((candidate) => candidate.name === field))) problems.push(`${at}/from_credential: ${field} is no field`)
  }
  for (const [property, field] of Object.entries(action.from_config ?? {})) {
    if (Object.keys(action.input ?? {}).filter((place) => properties(place).includes(property)).length !== 1) problems.push(`${at}/from_config: ${property} stands in no place of the input, or in several`)
    if (!manifest.auth.some((scheme) => scheme.fields.some((candidate) => candidate.name === field && !candidate.secret))) problems.push(`${at}/from_config: ${field} is no config field`)
  }
  const encoding = action.body ?? manifest.conventions.body
  if ((action.graphql !== undefined) !== (encoding === 'graphql')) problems.push(`${at}/graphql: goes with the body encoding graphql, and only with it`)
  if (action.envelope !== undefined && encoding !== 'json') problems.push(`${at}/envelope: goes with the body encoding json`)
  if (action.files !== undefined && encoding !== 'multipart') problems.push(`${at}/files: go with the body encoding multipart`)
  for (const name of action.files ?? []) if (!properties('body').includes(name)) problems.push(`${at}/files: ${name} is no property of the body`)
  for (const { field } of action.secret_outputs ?? []) {
    if (field !== undefined && !manifest.auth.some((scheme) => scheme.fields.some((candidate) => candidate.name === field && candidate.secret))) problems.push(`${at}/secret_outputs: ${field} is no secret field`)
  }
  return [...problems, ...judgeServer(manifest, action.server, `${at}/server`), ...judgeHeaders(action.headers, `${at}/headers`)]
}

/** A manifest may say what a body is, and nothing else of what the vault or HTTP itself sets. */
function judgeHeaders (headers: Readonly<Record<string, string>> | undefined, at: string): string[] {
  return Object.keys(headers ?? {}).flatMap((name) => {
    if (name !== name.toLowerCase()) return [`${at}: ${name} has to be in lower case`]
    return isReservedHeader(name) && name !== 'content-type' ? [`${at}: ${name} can’t be set`] : []
  })
}

/** A further server's host has to be one that every connection's credential may go to. */
function judgeServer (manifest: Manifest, server: string | undefined, at: string): string[] {
  if (server === undefined) return []
  const host = URL.parse(server)?.host
  return host !== undefined && manifest.also_hosts?.includes(host) === true ? [] : [`${at}: its host is not among /also_hosts`]
}

/** RFC 9110, 9.2.1. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** Imported documents name parameters as they like. */
const PARAMETER = /\{(\+?)([^{}+/?#][^{}/?#]*)\}/g

export interface PathParameter {
  readonly name: string
  /** As it stands in the template. */
  readonly written: string
  /** Whether its value may hold slashes. */
  readonly segments: boolean
}

/** A path template's parameters, in their order. */
export function pathParameters (path: string): PathParameter[] {
  return [...path.matchAll(PARAMETER)].map(([written, plus, name]) => ({ name: name as string, written, segments: plus === '+' }))
}

function isRegExp (pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp
  } catch {
    return false
  }
}
