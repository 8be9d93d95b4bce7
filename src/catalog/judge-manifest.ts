import type { Action, AuthScheme, Manifest } from './manifest.ts'
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
  ]
}

function judgeUnique (at: string, names: readonly string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${at}: ${name} stands twice`)
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
  }
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
  const inPath = pathParameters(action.path)
  if (action.path.replaceAll(PARAMETER, '').search(/[{}?#]/) >= 0) problems.push(`${at}/path: can’t be read`)
  const declared = properties('path')
  for (const name of inPath) if (!declared.includes(name)) problems.push(`${at}/input/path: {${name}} of the path is missing`)
  for (const name of declared) if (!inPath.includes(name)) problems.push(`${at}/input/path: ${name} is not in the path`)
  for (const name of properties('header')) if (isReservedHeader(name)) problems.push(`${at}/input/header: ${name} can’t be set by a caller`)
  if ((action.method === 'GET' || action.method === 'HEAD') !== (action.effect === 'read') && action.method !== 'POST') problems.push(`${at}/effect: ${action.effect} does not go with ${action.method}`)
  if (action.input?.body !== undefined && (action.method === 'GET' || action.method === 'HEAD')) problems.push(`${at}/input/body: ${action.method} has none`)
  for (const [property, field] of Object.entries(action.from_credential ?? {})) {
    if (!properties('body').includes(property)) problems.push(`${at}/from_credential: ${property} is no property of the body`)
    if (!manifest.auth.some((scheme) => scheme.fields.some((candidate) => candidate.name === field))) problems.push(`${at}/from_credential: ${field} is no field`)
  }
  return problems
}

const PARAMETER = /\{([A-Za-z][A-Za-z0-9_]*)\}/g

/** Names of a path template's parameters, in their order. */
export function pathParameters (path: string): string[] {
  return [...path.matchAll(PARAMETER)].map(([, name]) => name as string)
}

function isRegExp (pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp
  } catch {
    return false
  }
}
