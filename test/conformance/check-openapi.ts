import { Ajv } from 'ajv'
import { bodyOf, type Finding, type Samples } from './check.ts'
import type { Document, Schema, Vendor } from './documents.ts'

/** Checks of one document: what is sent exists there, is complete, and is nothing the document does not know. */
export function checkOpenApi (document: Document, vendor: Vendor, injected: ReadonlySet<string>): (samples: Samples) => readonly Finding[] {
  const validate = createValidator(document)
  return ({ least, most }) => {
    const path = least.url.pathname.slice(vendor.base.length)
    const covered = least.url.pathname.startsWith(vendor.base) && least.url.origin === new URL(vendor.baseUrl).origin
    const found = covered ? document.find(least.method, path) : undefined
    if (found === undefined) return [{ check: 'operation', detail: `${least.method} ${least.url.host}${least.url.pathname} is not in the document` }]
    const { parameters, body } = found.operation
    const query = (request: Samples['least']) => new Set([...request.url.searchParams.keys()].map((key) => key.replace(/\[.*$/, '')))
    const inQuery = parameters.filter((one) => one.in === 'query')
    const knownHeaders = new Set(parameters.filter((one) => one.in === 'header').map((one) => one.name.toLowerCase()))
    const unknown = [
      ...[...query(most)].filter((name) => !inQuery.some((one) => one.name.replace(/\[.*$/, '') === name)),
      ...Object.keys(most.headers).filter((name) => !Object.hasOwn(least.headers, name) && !knownHeaders.has(name)),
    ]
    const unsent = parameters.filter((one) => one.required === true && (one.in === 'query' ? !query(least).has(one.name) : one.in === 'header' && least.headers[one.name.toLowerCase()] === undefined))
      .map((one) => one.name).filter((name) => !injected.has(name.toLowerCase()) && name !== 'token')
    const findings: Finding[] = [
      { check: 'parameters known', detail: unknown.join(', ') },
      { check: 'parameters sent', detail: unsent.join(', ') },
    ]
    const [small, full] = [bodyOf(least), bodyOf(most)]
    if (full === undefined || body === undefined) {
      if (full !== undefined && Object.keys(full.value).length > 0) findings.push({ check: 'body known', detail: 'the document has no body here' })
      if (body?.required === true) findings.push({ check: 'body complete', detail: 'the document requires a body here' })
      return findings
    }
    const schema = body.content[full.contentType]
    if (schema === undefined) return [...findings, { check: 'media type', detail: `${full.contentType} is none of ${Object.keys(body.content).join(', ')}` }]
    const { names, required, open } = collect(document, schema)
    findings.push(
      { check: 'body known', detail: open ? '' : Object.keys(full.value).filter((name) => !names.has(name)).join(', ') },
      { check: 'body complete', detail: [...required].filter((name) => !Object.hasOwn(small?.value ?? {}, name)).join(', ') },
      { check: 'examples valid', detail: [...new Set([...validate(schema, full.value), ...validate(schema, small?.value ?? {})])].join('; ') },
    )
    return findings
  }
}

/** Names and requirements at the top of a schema, through its compositions. */
function collect (document: Document, schema: Schema): { names: Set<string>, required: Set<string>, open: boolean } {
  const own = document.deref(schema)
  const names = new Set(Object.keys(own.properties ?? {}))
  const required = new Set(own.required ?? [])
  const parts = [...own.allOf ?? [], ...own.anyOf ?? [], ...own.oneOf ?? []]
  let open = typeof own.additionalProperties === 'object' || own.additionalProperties === true || (own.properties === undefined && parts.length === 0)
  for (const part of parts) {
    const inner = collect(document, part)
    for (const name of inner.names) names.add(name)
    if (own.allOf?.includes(part) === true) for (const name of inner.required) required.add(name)
    open ||= inner.open && own.allOf?.includes(part) !== true
  }
  return { names, required, open }
}

/** JSON Schema validation, with what OpenAPI 3.0 spells differently translated. */
function createValidator (document: Document): (schema: Schema, value: unknown) => string[] {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: false })
  ajv.addSchema({ ...translate(document.root) as object, $id: 'document' })
  const absolute = (schema: unknown): unknown => JSON.parse(JSON.stringify(translate(schema)).replaceAll('"$ref":"#/', '"$ref":"document#/')) as unknown
  return (schema, value) => {
    const check = ajv.compile(absolute(schema) as object)
    return check(value) ? [] : (check.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''}`)
  }
}

/** Boolean `exclusiveMinimum`, `nullable` beside `$ref`, and keywords that JSON Schema would read otherwise. */
function translate (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(translate)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).filter(([name, member]) => {
    if (name === 'exclusiveMinimum' || name === 'exclusiveMaximum') return typeof member === 'number'
    if (name === 'nullable') return Object.hasOwn(value, 'type')
    return name !== 'discriminator' && name !== 'example' && !(name === '$id' && typeof member === 'string')
  })
  return Object.fromEntries(entries.map(([name, member]) => [name, translate(member)]))
}
