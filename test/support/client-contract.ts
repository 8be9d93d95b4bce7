import openapiTS, { astToString } from 'openapi-typescript'
import { isInterfaceDeclaration } from 'typescript'
import { parse } from 'yaml'
import { ERRORS } from '../../src/errors.ts'

/** As far as it is read here. */
interface Schema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly $ref?: string
  readonly allOf?: readonly Schema[]
}
interface Content { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }
interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly { readonly name: string, readonly in: string }[]
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content>>
}
interface Contract {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

const JSON_TYPE = 'application/json'
const HEAD = '// Generated from openapi.yaml by `npm run generate`.\n\n'

/** The files of the client that are derived from the contract: its types, and the table of its operations. */
export async function describeClient (openapi: string): Promise<Map<string, string>> {
  const contract = parse(openapi) as Contract
  return new Map([
    ['src/sdk/client/contract.ts', await describeTypes(contract)],
    ['src/sdk/client/operations.ts', describeOperations(contract)],
  ])
}

/** Problems are the same everywhere, and what bodies may be beside JSON the client does not send. */
async function describeTypes (contract: Contract): Promise<string> {
  const paths = mapValues(contract.paths, (methods) => mapValues(methods, (operation) => {
    const responses = Object.fromEntries(Object.entries(operation.responses).filter(([status]) => Number(status) < 400))
    const schema = operation.requestBody?.content?.[JSON_TYPE]
    return { ...operation, responses, ...schema && { requestBody: { ...operation.requestBody, content: { [JSON_TYPE]: schema } } } }
  }))
  const nodes = await openapiTS(JSON.stringify({ ...contract, paths, webhooks: {} }), { immutable: true, emptyObjectsUnknown: true, silent: true })
  const kept = nodes.filter((node) => isInterfaceDeclaration(node) && ['components', 'operations'].includes(node.name.text))
  return HEAD + astToString(kept).replaceAll(/^ *\/\*\* @enum \{unknown\} \*\/\n/gm, '').replaceAll(/\n *\* @enum \{unknown\}$/gm, '')
}

function mapValues<In, Out> (of: Readonly<Record<string, In>>, change: (value: In) => Out): Record<string, Out> {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, change(value)]))
}

function describeOperations (contract: Contract): string {
  const rows = Object.entries(contract.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => {
    const named = (place: string) => (operation.parameters ?? []).filter((parameter) => parameter.in === place).map(({ name }) => name)
    const [query, headers] = [named('query'), named('header')]
    const body = operation.requestBody?.content?.[JSON_TYPE]?.schema
    refuseCollisions(operation.operationId, [...named('path'), ...query, ...body === undefined ? [] : listNames(body)])
    const list = findList(operation)
    const has = [...new Set(Object.values(operation.responses).flatMap(({ content }) => findMarks(contract, content?.[JSON_TYPE]?.schema)))]
    const parts = [
      `method: '${method.toUpperCase()}'`, `path: '${path}'`,
      ...query.length === 0 ? [] : [`query: [${query.map((name) => `'${name}'`).join(', ')}]`],
      ...body === undefined ? [] : ['body: true'],
      ...headers.includes('idempotency-key') ? ['key: true'] : [],
      ...headers.includes('if-match') ? ['etag: true'] : [],
      ...list === undefined ? [] : [`list: '${list}'`],
      ...has.length === 0 ? [] : [`has: [${has.map((name) => `'${name}'`).join(', ')}]`],
    ]
    const { summary, description } = operation
    const about = [summary, ...description === undefined ? [] : [description]].map((text) => text.replace(/\.?$/, '.').replaceAll('*/', '* /')).join(' ')
    return `  /** ${about} */\n  ${operation.operationId}: { ${parts.join(', ')} },\n`
  }))
  const codes = Object.keys(ERRORS).sort().map((code) => `  | '${code}'\n`)
  return `${HEAD}/** Every operation of the contract: where it is, what it takes beside its path, and the members of which each answer has one. */
export const OPERATIONS = {
${rows.join('')}} as const

/** Every code of docs/errors.md. */
export type ErrorCode =
${codes.join('')}`
}

/** Path, query and body are one object for callers. */
function refuseCollisions (operation: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Error(`${operation} has ${twice} in two places: the client has to tell them apart first`)
}

function listNames (schema: Schema): string[] {
  return [...Object.keys(schema.properties ?? {}), ...(schema.allOf ?? []).flatMap(listNames)]
}

/** A member that every answer of this form has; nothing for one without a body. */
function findMarks (contract: Contract, schema: Schema | undefined): string[] {
  if (schema === undefined) return []
  if (schema.$ref !== undefined) return findMarks(contract, contract.components.schemas[schema.$ref.split('/').at(-1) ?? ''])
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((form) => findMarks(contract, form))
  const [mark] = [schema.required ?? [], ...(schema.allOf ?? []).map((part) => findMarks(contract, part))].flat()
  if (mark === undefined) throw new Error('an answer requires no member: the client can’t tell it from anybody’s')
  return [mark]
}

/** The member that holds the items of a list which ends: its `next_cursor` may be null. */
function findList ({ responses }: Operation): string | undefined {
  const { properties = {} } = responses['200']?.content?.[JSON_TYPE]?.schema ?? {}
  if (![properties['next_cursor']?.type ?? []].flat().includes('null')) return undefined
  return Object.entries(properties).find(([, { type }]) => type === 'array')?.[0]
}
