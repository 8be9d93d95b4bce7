import type { IntegrationAction } from '../../src/catalog/index.ts'

type Schema = Readonly<Record<string, unknown>>
type Wanted = 'all' | 'required'

const BY_FORMAT: Readonly<Record<string, string>> = {
  date: '2026-01-31', 'date-time': '2026-01-31T10:00:00Z', uuid: '3d813cbb-47fb-32ba-91df-831e1593ac29', email: 'ada@example.com', uri: 'https://example.com/', url: 'https://example.com/', ipv4: '192.0.2.1',
}

/** Input that fits an imported action: every parameter, and of its body what is required. */
export function sampleInput ({ schema, definition }: IntegrationAction): Record<string, unknown> {
  const defs = (schema['$defs'] ?? {}) as Record<string, Schema>
  const places = Object.entries(schema['properties'] as Record<string, Schema>).filter(([place]) => place !== 'content_type')
  return Object.fromEntries(places.flatMap(([place, one]) => {
    const value = sample(one, defs, { wanted: place === 'body' ? 'required' : 'all', depth: 0 })
    const form = place === 'body' && ['form', 'multipart'].includes(definition.binding?.bodies?.[0]?.as ?? '')
    return [[place, form && (typeof value !== 'object' || Array.isArray(value)) ? {} : value]]
  }))
}

interface At {
  readonly wanted: Wanted
  readonly depth: number
}

function sample (given: Schema, defs: Readonly<Record<string, Schema>>, at: At): unknown {
  const schema = flatten(given, defs, 0)
  const deeper = { ...at, wanted: 'required' as const, depth: at.depth + 1 }
  if (Array.isArray(schema['enum'])) return (schema['enum'] as unknown[]).find((value) => value !== null && value !== '') ?? schema['enum'][0]
  if (schema['const'] !== undefined) return schema['const']
  const type = typeOf(schema)
  switch (type) {
    case 'object': {
      const properties = (schema['properties'] ?? {}) as Record<string, Schema>
      const required = (schema['required'] ?? []) as string[]
      const names = at.wanted === 'all' ? Object.keys(properties) : required
      return Object.fromEntries(names.map((name) => [name, sample(properties[name] ?? {}, defs, deeper)]))
    }
    case 'array': {
      const count = Math.max(Number(schema['minItems'] ?? 1), at.depth > 6 ? 0 : 1)
      return Array.from({ length: Math.min(count, 3) }, () => sample((schema['items'] ?? {}) as Schema, defs, deeper))
    }
    case 'integer': case 'number': return Math.min(Math.max(1, Number(schema['minimum'] ?? 1)), Number(schema['maximum'] ?? Infinity))
    case 'boolean': return true
    case 'null': return null
    default: {
      const text = BY_FORMAT[schema['format'] as string] ?? 'text'
      return text.padEnd(Number(schema['minLength'] ?? 0), 'x').slice(0, Number(schema['maxLength'] ?? Infinity))
    }
  }
}

function typeOf (schema: Schema): unknown {
  const [type] = [schema['type'] ?? (schema['properties'] !== undefined ? 'object' : 'string')].flat().filter((one) => one !== 'null')
  return type
}

function flatten (schema: Schema, defs: Readonly<Record<string, Schema>>, hops: number): Schema {
  if (hops > 20) return {}
  if (typeof schema['$ref'] === 'string') return flatten(defs[schema['$ref'].slice('#/$defs/'.length)] ?? {}, defs, hops + 1)
  const [first] = [schema['oneOf'], schema['anyOf']].find((list): list is Schema[] => Array.isArray(list)) ?? []
  const parts = [...(schema['allOf'] ?? []) as Schema[], ...first === undefined ? [] : [first]].map((part) => flatten(part, defs, hops + 1))
  return parts.reduce<Schema>((merged, part) => ({
    ...merged, ...part,
    ...(merged['properties'] ?? part['properties']) !== undefined && { properties: { ...merged['properties'] as object, ...part['properties'] as object } },
    required: [...(merged['required'] ?? []) as string[], ...(part['required'] ?? []) as string[]],
  }), schema)
}
