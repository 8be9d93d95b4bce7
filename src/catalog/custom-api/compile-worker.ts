import { parentPort, workerData } from 'node:worker_threads'
import { requireSound } from '../load.ts'
import type { Action } from '../manifest.ts'
import type { CompileAnswer, CompileJob } from './compile.ts'
import { diffRevisions, type Compared } from './diff.ts'
import { ImportError } from './import-error.ts'
import { importDocument } from './import-document.ts'
import { ChoicesError, readImportRequest, type ImportChoices } from './import-request.ts'
import { packManifest, toStorableJson } from './pack.ts'

/**
 * The thread that reads a document: bytes come in, bytes go out, and whatever a document does to
 * it, it does to this thread alone. One job, then it ends.
 */
async function run (job: CompileJob): Promise<CompileAnswer> {
  if (job.kind === 'document') return compile(job, job.document, { choices: job.choices, base: job.base })
  const { source, choices } = await readImportRequest(job.body, job.contentType)
  return 'url' in source ? { kind: 'elsewhere', url: source.url, choices } : compile(job, source.document, { choices, base: undefined })
}

function compile (job: CompileJob, document: Uint8Array, { choices, base }: { choices: ImportChoices, base: string | undefined }): CompileAnswer {
  const reach = { open: new Set(job.open), closed: new Set(job.closed) }
  const imported = importDocument(document, { ...choices, name: choices.name?.trim(), id: job.id, base, reach })
  const manifest = requireSound(imported)
  const { report } = imported
  const packed = manifest && packManifest(manifest)
  const before = job.before === undefined || manifest === undefined ? undefined : readBefore(job.before)
  return {
    kind: 'compiled',
    summary: { sha256: report.sha256, title: report.title, version: report.version, actions: report.actions.length },
    report: toStorableJson(report),
    kept: toStorableJson({ operations: report.operations, skipped: report.skipped, servers: report.servers, warnings: report.warnings }),
    choices: toStorableJson(choices),
    ...packed && { head: toStorableJson(packed.head), actions: toStorableJson(packed.actions), schemas: toStorableJson(packed.schemas) },
    ...manifest && before && { diff: toStorableJson(diffRevisions(before, { actions: manifest.actions, schemas: manifest.schemas ?? {} })) },
  }
}

/** The revision before, as the database wrote it. */
function readBefore ({ actions, schemas }: { actions: Uint8Array, schemas: Uint8Array }): Compared {
  const read = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
  return { actions: read(actions) as Action[], schemas: read(schemas) as Record<string, unknown> }
}

function describeFailure (error: unknown): CompileAnswer {
  if (error instanceof ImportError) return { kind: 'refused', pointer: error.pointer, message: error.message }
  if (error instanceof ChoicesError) return { kind: 'choices', errors: error.errors }
  // A message may hold words of the document: the stack's first place tells a developer enough.
  const place = error instanceof Error ? /at .*/.exec(error.stack ?? '')?.[0] ?? '' : ''
  return { kind: 'defect', place: `${error instanceof Error ? error.name : typeof error} ${place}` }
}

const answer = await run(workerData as CompileJob).catch(describeFailure)
// Given away, not copied; what shares its memory with others can't be.
const isOwn = (value: unknown): value is Uint8Array<ArrayBuffer> => value instanceof Uint8Array && value.byteLength === value.buffer.byteLength
const given = Object.values(answer).filter(isOwn).map(({ buffer }) => buffer)
parentPort?.postMessage(answer, given)
