/** Reads forms out of our own pages: rendered on the server, attributes in double quotes. No parser of the world's HTML. */

export interface FormField {
  readonly name: string
  readonly type: string
  /** What is sent when nobody touches it; undefined for what is not sent then. */
  readonly value: string | undefined
  /** What can be chosen, where that is given: of a select, or a radio's own. */
  readonly options: readonly string[]
}

export interface Form {
  readonly action: string
  readonly method: string
  readonly fields: readonly FormField[]
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

export function decodeEntities (text: string): string {
  return text.replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16))
    return decimal !== undefined ? String.fromCodePoint(Number(decimal)) : ENTITIES[(name ?? '').toLowerCase()] ?? whole
  })
}

/** What a person reads. */
export function textOf (html: string): string {
  return decodeEntities(html.replaceAll(/<(script|style|head)\b.*?<\/\1>/gis, ' ').replaceAll(/<!--.*?-->|<[^>]*>/gs, ' ')).replaceAll(/\s+/g, ' ').trim()
}

function attributesOf (tag: string): Map<string, string> {
  const inside = tag.replace(/^<[a-z0-9]+/i, '')
  return new Map([...inside.matchAll(/([a-zA-Z][\w:-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g)]
    .map(([, name = '', quoted, single, bare]) => [name.toLowerCase(), decodeEntities(quoted ?? single ?? bare ?? '')]))
}

export function formsOf (html: string): Form[] {
  return [...html.matchAll(/(<form\b[^>]*>)(.*?)<\/form>/gis)].map(([, open = '', inside = '']) => {
    const attributes = attributesOf(open)
    return { action: attributes.get('action') ?? '', method: (attributes.get('method') ?? 'get').toLowerCase(), fields: fieldsOf(inside) }
  })
}

function fieldsOf (html: string): FormField[] {
  return [...html.matchAll(/(<input\b[^>]*>)|(<button\b[^>]*>)|(<textarea\b[^>]*>)(.*?)<\/textarea>|(<select\b[^>]*>)(.*?)<\/select>/gis)].flatMap((match) => {
    const [, input, button, textarea, text = '', select, choices = ''] = match
    const attributes = attributesOf(input ?? button ?? textarea ?? select ?? '')
    const name = attributes.get('name')
    if (name === undefined || attributes.has('disabled')) return []
    if (textarea !== undefined) return [{ name, type: 'textarea', value: decodeEntities(text.replace(/^\n/, '')), options: [] }]
    if (select !== undefined) return [selectField(name, choices)]
    const type = button === undefined ? (attributes.get('type') ?? 'text').toLowerCase() : 'submit'
    const own = attributes.get('value')
    if (type === 'radio' || type === 'checkbox') return [{ name, type, value: attributes.has('checked') ? own ?? 'on' : undefined, options: [own ?? 'on'] }]
    return type === 'submit' ? [{ name, type, value: undefined, options: [own ?? ''] }] : [{ name, type, value: own ?? '', options: [] }]
  })
}

function selectField (name: string, choices: string): FormField {
  const options = [...choices.matchAll(/(<option\b[^>]*>)([^<]*)/gi)].map(([, open = '', label = '']) => {
    const attributes = attributesOf(open)
    return { value: attributes.get('value') ?? decodeEntities(label.trim()), selected: attributes.has('selected') }
  })
  return { name, type: 'select', value: (options.find(({ selected }) => selected) ?? options[0])?.value, options: options.map(({ value }) => value) }
}

/** Where `<meta http-equiv="refresh">` leads, and after how long. */
export function metaRefresh (html: string): { seconds: number, url: string } | undefined {
  for (const [tag] of html.matchAll(/<meta\b[^>]*>/gi)) {
    const attributes = attributesOf(tag)
    const [, seconds, url] = /^\s*(\d+)\s*[;,]\s*url\s*=\s*['"]?([^'"]*)['"]?\s*$/i.exec(attributes.get('content') ?? '') ?? []
    if (attributes.get('http-equiv')?.toLowerCase() === 'refresh' && url !== undefined) return { seconds: Number(seconds), url }
  }
  return undefined
}
