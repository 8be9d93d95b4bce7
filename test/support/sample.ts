interface Schema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly examples?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly pattern?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly minItems?: number
}

/** Texts for the patterns that manifests use. */
const BY_PATTERN: Readonly<Record<string, string>> = {
  '^[A-Za-z]{3}$': 'usd',
  '^[A-Z]{3}$': 'EUR',
  '^\\d{4}-\\d{2}-\\d{2}$': '1990-01-31',
  '^\\d+\\.\\d{2}$': '12.34',
  '^(STANDARD|SAVINGS)(,(STANDARD|SAVINGS))?$': 'STANDARD',
}

/** A value that fits a schema: all its properties, or only the required ones. */
export function sample (schema: Schema, which: 'all' | 'required'): unknown {
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.examples !== undefined) return schema.examples[0]
  const [type] = [schema.type ?? (schema.properties === undefined ? 'string' : 'object')].flat()
  switch (type) {
    case 'object': {
      const names = which === 'all' ? Object.keys(schema.properties ?? {}) : schema.required ?? []
      return Object.fromEntries(names.map((name) => [name, sample(schema.properties?.[name] ?? {}, which)]))
    }
    case 'array': return which === 'all' || (schema.minItems ?? 0) > 0 ? [sample(schema.items ?? {}, which)] : []
    case 'integer': return Math.max(1, schema.minimum ?? 1)
    case 'number': return 1.5
    case 'boolean': return true
    default: return schema.pattern === undefined ? 'text' : BY_PATTERN[schema.pattern] ?? 'text'
  }
}
