import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measure, startServer } from './harness.ts'
import { reachStripe, requireOurs, setStage, WORKSPACE } from './stage.ts'

/** `node bench/flame.ts resolve|invoke FILE.svg [--seconds N]`: where a vault under load spends its time, as a flame graph; wider is more, callers below what they call. */
const { positionals: [what = '', file = ''], values } = parseArgs({ allowPositionals: true, options: { seconds: { type: 'string', default: '10' } } })
if (!['resolve', 'invoke'].includes(what) || file === '') throw new Error('node bench/flame.ts resolve|invoke FILE.svg')
const seconds = Number(values.seconds)

interface Node {
  readonly id: number
  readonly callFrame: { readonly functionName: string, readonly url: string, readonly lineNumber: number }
  readonly children?: readonly number[]
}

/** What `--cpu-prof` writes (Chrome DevTools Protocol, Profiler.Profile). */
interface Profile {
  readonly nodes: readonly Node[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

interface Frame {
  readonly name: string
  micros: number
  readonly children: Map<string, Frame>
}

const WIDTH = 1_600
const ROW = 16
/** Narrower ones can't be read. */
const NARROWEST = 1
const CHARACTER = 6.2

const dir = mkdtempSync(join(tmpdir(), 'connection-vault-flame-'))
try {
  writeFileSync(file, draw(readProfile(await profile(dir)), `${what}, 32 callers, ${seconds} s, Node ${process.version}`))
} finally {
  rmSync(dir, { recursive: true, force: true })
}

/** Loads a vault that profiles itself; answers the folder with what it wrote when it ended. */
async function profile (folder: string): Promise<string> {
  const provider = await startServer('./provider.ts', {})
  const stage = await setStage(500, {
    ...reachStripe(provider.url), NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}`,
  })
  try {
    await requireOurs(stage)
    const body = what === 'invoke' ? { environment: 'sandbox', action: 'get_balance' } : { environment: 'sandbox' }
    const load = { url: stage.vault.urls.internal, requests: stage.ids.map((id) => stage.post(`/v1/workspaces/${WORKSPACE}/connections/${id}/${what}`, body)) }
    await measure(load, seconds)
    await measure(load, seconds)
  } finally {
    await stage.stop()
    provider.stop()
  }
  return folder
}

/** The profile of the process that worked the most, of its last seconds: by then what is hot is compiled. */
function readProfile (folder: string): Frame {
  const profiles = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile')).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile)
  const [longest] = profiles.sort((a, b) => b.samples.length - a.samples.length)
  if (longest === undefined) throw new Error('nothing was profiled')
  const nodes = new Map(longest.nodes.map((node) => [node.id, node]))
  const parents = new Map(longest.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)))
  const root: Frame = { name: 'all', micros: 0, children: new Map() }
  let left = seconds * 1e6
  for (let at = longest.samples.length - 1; at > 0 && left > 0; at--) {
    const micros = longest.timeDeltas[at] ?? 0
    left -= micros
    const path = pathOf(longest.samples[at] ?? 0, nodes, parents)
    if (path.at(-1) !== '(idle)') addTo(root, path, micros)
  }
  return root
}

function pathOf (sample: number, nodes: ReadonlyMap<number, Node>, parents: ReadonlyMap<number, number>): string[] {
  const path: string[] = []
  for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
    const node = nodes.get(id)
    if (node !== undefined && node.callFrame.functionName !== '(root)') path.unshift(describe(node))
  }
  return path
}

/** Function, and the file without anything of this machine. */
function describe ({ callFrame: { functionName, url, lineNumber } }: Node): string {
  const place = url.replace(/^.*\/node_modules\//, '').replace(/^file:.*?\/(src|bench)\//, '$1/')
  return `${functionName === '' ? '(anonymous)' : functionName}${place === '' ? '' : ` ${place}:${lineNumber + 1}`}`
}

function addTo (root: Frame, path: readonly string[], micros: number): void {
  root.micros += micros
  let frame = root
  for (const name of path) {
    const child = frame.children.get(name) ?? { name, micros: 0, children: new Map<string, Frame>() }
    frame.children.set(name, child)
    child.micros += micros
    frame = child
  }
}

interface Box {
  readonly name: string
  readonly depth: number
  readonly left: number
  readonly width: number
  readonly percent: number
}

function draw (root: Frame, title: string): string {
  const boxes: Box[] = []
  const place = (frame: Frame, depth: number, left: number): void => {
    const width = frame.micros / root.micros * WIDTH
    if (width < NARROWEST) return
    boxes.push({ name: frame.name, depth, left, width, percent: frame.micros / root.micros * 100 })
    let at = left
    for (const child of [...frame.children.values()].sort((a, b) => a.name < b.name ? -1 : 1)) {
      place(child, depth + 1, at)
      at += child.micros / root.micros * WIDTH
    }
  }
  place(root, 0, 0)
  const height = (Math.max(...boxes.map(({ depth }) => depth)) + 3) * ROW
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10">
<text x="4" y="12">${escape(title)}</text>
${boxes.map((box) => drawBox(box, height)).join('\n')}
</svg>
`
}

function drawBox ({ name, depth, left, width, percent }: Box, height: number): string {
  const y = height - (depth + 1) * ROW
  const fits = Math.floor(width / CHARACTER)
  const text = fits < 4 ? '' : `<text x="${(left + 2).toFixed(1)}" y="${y + 11}">${escape(name.slice(0, fits))}</text>`
  return `<g><title>${escape(name)} (${percent.toFixed(1)} %)</title><rect x="${left.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(name)}"/>${text}</g>`
}

/** Ours, libraries', the runtime's. */
function colour (name: string): string {
  if (name.includes(' src/')) return '#f4a259'
  return name.includes(' node:') || !name.includes(' ') ? '#c9d6df' : '#8cb369'
}

function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
