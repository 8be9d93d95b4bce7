import { existsSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** The vendors' own documents; they are in the team's shared folder and not in the repository. */
const SPECS = new URL('../../../shared/data/specs/', import.meta.url)

export interface Vendor {
  /** Of the integration. */
  readonly id: string
  readonly file: string
  /** What our paths have before those of the document. */
  readonly base: string
  readonly baseUrl: string
}

export const VENDORS: readonly Vendor[] = [
  { id: 'slack', file: 'slack.json', base: '/api', baseUrl: 'https://slack.com/api' },
  { id: 'linear', file: 'linear.graphql', base: '', baseUrl: 'https://api.linear.app' },
  { id: 'jira', file: 'jira_platform_2025-12.json', base: '/ex/jira/1', baseUrl: 'https://api.atlassian.com/ex/jira/1' },
  { id: 'xero', file: 'xero_accounting.yaml', base: '/api.xro/2.0', baseUrl: 'https://api.xero.com' },
  { id: 'stripe', file: 'stripe_spec3_2023-09.yaml', base: '', baseUrl: 'https://api.stripe.com' },
  { id: 'onfido', file: 'onfido.json', base: '/v3.6', baseUrl: 'https://api.eu.onfido.com/v3.6' },
  { id: 'openai', file: 'openai.yaml', base: '/v1', baseUrl: 'https://api.openai.com/v1' },
  { id: 'twilio', file: 'twilio_api_v2010.json', base: '', baseUrl: 'https://api.twilio.com/2010-04-01/Accounts/AC1' },
]

/** What is missing, in words; undefined when the document is here. */
export function missingDocument ({ file }: Vendor): string | undefined {
  return existsSync(new URL(file, SPECS)) ? undefined : `the vendors’ documents are not here (${file}); they come with the team’s shared folder`
}

export function readText ({ file }: Vendor): string {
  return readFileSync(new URL(file, SPECS), 'utf8')
}

export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly required?: readonly string[]
  readonly allOf?: readonly Schema[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
}

export interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly $ref?: string
  /** Swagger 2.0 writes the schema of a parameter into it. */
  readonly type?: string
}

export interface Operation {
  readonly parameters: readonly Parameter[]
  readonly body: { readonly required: boolean, readonly content: Readonly<Record<string, Schema>> } | undefined
}

/** An OpenAPI 3 or Swagger 2.0 document, as far as the checks need it, both in one shape. */
export interface Document {
  find (method: string, path: string): { readonly template: string, readonly operation: Operation } | undefined
  deref<T extends { readonly $ref?: string }> (value: T): T
  readonly root: object
}

interface RawOperation {
  readonly parameters?: readonly Parameter[]
  readonly consumes?: readonly string[]
  readonly requestBody?: { readonly $ref?: string, readonly required?: boolean, readonly content: Readonly<Record<string, { readonly schema?: Schema }>> }
}

interface RawDocument {
  readonly swagger?: string
  readonly consumes?: readonly string[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

export function readDocument (vendor: Vendor): Document {
  const root = parse(readText(vendor), { maxAliasCount: -1 }) as RawDocument
  const deref = <T extends { readonly $ref?: string }>(value: T): T => {
    if (value.$ref === undefined) return value
    const names = value.$ref.slice(2).split('/').map((name) => name.replaceAll('~1', '/'))
    return deref(names.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], root) as T)
  }
  const toOperation = (item: Readonly<Record<string, unknown>>, raw: RawOperation): Operation => {
    const parameters = [...item['parameters'] as Parameter[] | undefined ?? [], ...raw.parameters ?? []].map(deref)
    if (root.swagger !== undefined) return fromSwagger(parameters, raw.consumes ?? root.consumes ?? [])
    const body = raw.requestBody === undefined ? undefined : deref(raw.requestBody)
    return {
      parameters,
      body: body && {
        required: body.required === true,
        content: Object.fromEntries(Object.entries(body.content).map(([type, { schema }]) => [type, schema ?? {}])),
      },
    }
  }
  return {
    root,
    deref,
    find: (method, path) => {
      const fits = (template: string) => new RegExp(`^${template.replaceAll(/[.$]/g, '\\$&').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`).test(path)
      // A literal segment beats a parameter.
      const candidates = Object.entries(root.paths).filter(([candidate]) => fits(candidate))
      const [template, item] = candidates.sort(([a], [b]) => a.split('{').length - b.split('{').length)[0] ?? []
      const raw = item?.[method.toLowerCase()] as RawOperation | undefined
      return template === undefined || item === undefined || raw === undefined ? undefined : { template, operation: toOperation(item, raw) }
    },
  }
}

/** Form fields of Swagger 2.0 stand among the parameters; a JSON body of the same operation has the same members. */
function fromSwagger (parameters: readonly Parameter[], consumes: readonly string[]): Operation {
  const fields = parameters.filter((one) => one.in === 'formData')
  const schema: Schema = {
    type: 'object',
    properties: Object.fromEntries(fields.map(({ name, type }) => [name, type === undefined ? {} : { type }])),
    required: fields.filter((one) => one.required === true).map((one) => one.name),
    additionalProperties: false,
  }
  return {
    parameters: parameters.filter((one) => one.in !== 'formData'),
    body: fields.length === 0
      ? undefined
      : { required: (schema.required ?? []).length > 0, content: Object.fromEntries(consumes.map((type) => [type, schema])) },
  }
}
