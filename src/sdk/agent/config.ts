import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Type, type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { parse } from 'yaml'
import { AgentError, type Action } from './action.ts'
import type { AgentOptions } from './create-agent.ts'
import type { CredentialSource, CredentialSources } from './credentials.ts'
import { defineHttpAction, listCredentials } from './http-action.ts'
import { actionsFromOpenApi } from './openapi.ts'

const closed = { additionalProperties: false } as const
const Text = Type.String({ minLength: 1 })
const Schema = Type.Record(Type.String(), Type.Unknown())
const Headers = Type.Record(Type.String(), Type.String())
const Effect = Type.Enum(['read', 'idempotent', 'unsafe'])
const Milliseconds = Type.Integer({ minimum: 1, maximum: 3_600_000 })

/** `agent.yaml`: an agent whose actions need no code. */
const File = Type.Object({
  url: Text,
  /** Relative to the file. */
  identity_file: Text,
  name: Type.Optional(Text),
  concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
  grace_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_600 })),
  encryption: Type.Optional(Type.Enum(['optional', 'required'])),
  credentials: Type.Optional(Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]*$' }), Type.Union([
    Type.Object({ env: Text }, closed),
    Type.Object({ file: Text }, closed),
    Type.Object({ command: Type.Array(Text, { minItems: 1 }), ttl_seconds: Type.Optional(Type.Integer({ minimum: 0 })) }, closed),
  ]), { additionalProperties: false })),
  actions: Type.Optional(Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), Type.Object({
    effect: Effect,
    title: Type.Optional(Text),
    method: Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']),
    url: Text,
    headers: Type.Optional(Headers),
    input: Type.Optional(Type.Object({
      path: Type.Optional(Schema), query: Type.Optional(Schema), header: Type.Optional(Schema), body: Type.Optional(Schema),
    }, closed)),
    optional: Type.Optional(Type.Array(Type.Enum(['query', 'header', 'body']))),
    body_encoding: Type.Optional(Type.Enum(['json', 'form'])),
    output: Type.Optional(Schema),
    timeout_ms: Type.Optional(Milliseconds),
  }, closed), { additionalProperties: false })),
  openapi: Type.Optional(Type.Array(Type.Object({
    /** Relative to the file. */
    file: Text,
    base_url: Type.Optional(Text),
    headers: Type.Optional(Headers),
    actions: Type.Optional(Type.Array(Text)),
    effects: Type.Optional(Type.Record(Type.String(), Effect)),
    timeout_ms: Type.Optional(Milliseconds),
  }, closed))),
}, closed)

type File = Static<typeof File>

const check = Compile(File)

export interface AgentConfig {
  readonly options: Omit<AgentOptions, 'log' | 'enrolmentCode'>
  /** Operations of OpenAPI documents that are not offered, and why. */
  readonly skipped: readonly { readonly operation: string, readonly because: string }[]
}

/** Reads `agent.yaml`. Throws an AgentError that names every place that is wrong. */
export function readAgentConfig (path: string): AgentConfig {
  const file = readFileConfig(path)
  const beside = (name: string) => resolve(dirname(path), name)
  const skipped: { operation: string, because: string }[] = []
  const actions: Record<string, Action> = {}
  const add = (name: string, make: () => Action) => {
    if (Object.hasOwn(actions, name)) throw new AgentError(2, `${path}: the action ${name} stands twice`)
    try {
      actions[name] = make()
    } catch (error) {
      throw new AgentError(2, `${path}: ${name}: ${error instanceof Error ? error.message : ''}`)
    }
  }
  const requireCredentials = (of: string, headers: Readonly<Record<string, string>> = {}) => {
    const missing = listCredentials(headers).find((name) => !Object.hasOwn(file.credentials ?? {}, name))
    if (missing !== undefined) throw new AgentError(2, `${path}: ${of}: headers need the credential ${missing}, which is not among credentials`)
  }
  for (const [name, { body_encoding: bodyEncoding, timeout_ms: timeoutMs, ...rest }] of Object.entries(file.actions ?? {})) {
    requireCredentials(name, rest.headers)
    add(name, () => defineHttpAction({ ...rest, ...bodyEncoding && { bodyEncoding }, ...timeoutMs !== undefined && { timeoutMs } }))
  }
  for (const { file: name, base_url: baseUrl, actions: select, headers, effects, timeout_ms: timeoutMs } of file.openapi ?? []) {
    requireCredentials(name, headers)
    const made = readActions(beside(name), { baseUrl, select, timeoutMs, ...headers && { headers }, ...effects && { effects } })
    for (const [action, definition] of Object.entries(made.actions)) add(action, () => definition)
    skipped.push(...made.skipped)
  }
  if (Object.keys(actions).length === 0) throw new AgentError(2, `${path}: an agent without actions is of no use`)
  const { url, name, concurrency, grace_seconds: graceSeconds, encryption } = file
  const credentials = toSources(file.credentials ?? {}, beside)
  return { options: { url, identityFile: beside(file.identity_file), name, concurrency, graceSeconds, encryption, credentials, actions }, skipped }
}

function readActions (path: string, options: Parameters<typeof actionsFromOpenApi>[1]) {
  try {
    return actionsFromOpenApi(parse(readFileSync(path, 'utf8'), { maxAliasCount: 100 }), options)
  } catch (error) {
    throw new AgentError(2, `${path}: ${error instanceof Error ? error.message : ''}`)
  }
}

function toSources (credentials: NonNullable<File['credentials']>, beside: (name: string) => string): CredentialSources {
  return Object.fromEntries(Object.entries(credentials).map(([name, source]): [string, CredentialSource] => {
    if ('file' in source) return [name, { file: beside(source.file) }]
    if ('env' in source) return [name, { env: source.env }]
    const { command, ttl_seconds: ttlSeconds } = source
    return [name, { command: command as [string, ...string[]], ...ttlSeconds !== undefined && { ttlSeconds } }]
  }))
}

function readFileConfig (path: string): File {
  let value: unknown
  try {
    value = parse(readFileSync(path, 'utf8'), { maxAliasCount: 100 }) as unknown
  } catch (error) {
    throw new AgentError(2, `${path} can't be read: ${error instanceof Error ? error.message : ''}`)
  }
  if (check.Check(value)) return value
  throw new AgentError(2, check.Errors(value).slice(0, 10).map((error) => `${path}: ${error.instancePath || '/'} ${error.message}`).join('\n'))
}
