/** The rules of the registry: what may be registered, found, compared and deleted. Who may do it is asked in handlers; HTTP is not known here. */
import type { Broker } from '../../broker/face.ts'
import { parseSchema } from '../../lib/schemas/parse-schema.ts'
import { type Incompatibility, InvalidSchema, type Schema, type SchemaLanguage } from '../../lib/schemas/schema.ts'
import {
  idDoesNotMatch,
  incompatible,
  invalidSchema,
  invalidSubject,
  invalidVersion,
  notPermitted,
  referenceExists,
  schemaNotFound,
  subjectNotFound,
  subjectNotSoftDeleted,
  subjectSoftDeleted,
  versionNotFound,
  versionNotSoftDeleted,
  versionSoftDeleted,
} from './errors.ts'
import { globalScope, type Reference, Store, type Version } from './store.ts'

export const compatibilityLevels = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const
export type Compatibility = (typeof compatibilityLevels)[number]
export const modes = ['READWRITE', 'READONLY', 'READONLY_OVERRIDE', 'IMPORT'] as const
export type Mode = (typeof modes)[number]

/** A schema as its author sends it. */
export interface Submission {
  readonly language: SchemaLanguage
  readonly text: string
  readonly references: readonly Reference[]
  readonly metadata: Readonly<Record<string, unknown>> | null
  /** Only in mode IMPORT. */
  readonly id: number | null
  readonly version: number | null
}

const parsedMax = 2000
const versionMax = 0x7fffffff

/** The one registry of a broker, whether its listener is open or not. */
export const registryOf = (broker: Broker): Registry => broker.shared('schema-registry', () => new Registry(broker))

export class Registry {
  readonly store: Store
  /** The schemas used last, by id. */
  readonly #parsed = new Map<number, Schema>()

  constructor(broker: Broker) {
    this.store = new Store(broker)
  }

  // ------------------------------------------------------------------------------------------------------------ looking up

  /** Parsed; throws schemaNotFound. */
  schema(id: number): Schema {
    const known = this.#parsed.get(id)
    if (known !== undefined) return known
    const stored = this.store.schema(id)
    if (stored === undefined) throw schemaNotFound(id)
    const schema = this.#parse(stored.language, stored.text, stored.references)
    if (this.#parsed.size >= parsedMax) this.#parsed.clear()
    this.#parsed.set(id, schema)
    return schema
  }

  /** Versions of a subject in order; throws when it has none, deleted ones not counted unless asked for. */
  versions(subject: string, deleted = false): readonly Version[] {
    const all = this.store.versions(subject)
    const found = deleted ? all : all.filter((each) => !each.deleted)
    if (found.length === 0) throw subjectNotFound(subject)
    return found
  }

  latest(subject: string): Version | undefined {
    return this.store.versions(subject).findLast((each) => !each.deleted)
  }

  /** `written`: a number, `latest` or -1. */
  version(subject: string, written: string, deleted = false): Version {
    const number = versionNumber(written)
    const versions = this.versions(subject, deleted)
    const found = number === -1 ? versions.at(-1) : versions.find(({ version }) => version === number)
    if (found === undefined) throw versionNotFound(written)
    return found
  }

  /** The version of a subject that has this schema, the newest first. */
  lookUp(subject: string, submission: Submission, normalize: boolean, deleted: boolean): Version {
    const versions = this.versions(subject, deleted)
    const wanted = this.#parseSubmission(submission)
    // A text that refers to nothing may be asked for without the references that it was registered with.
    const same = (each: Version): boolean => {
      const stored = this.store.schema(each.id)
      if (stored === undefined || stored.language !== submission.language) return false
      return normalize || this.normalizes(subject)
        ? this.schema(each.id).normalized === wanted.normalized
        : stored.text === wanted.text
    }
    const found = versions.findLast((each) => same(each) && this.#sameReferences(each.id, submission)) ?? versions.findLast(same)
    if (found === undefined) throw schemaNotFound()
    return found
  }

  #sameReferences(id: number, { references }: Submission): boolean {
    return JSON.stringify(this.store.schema(id)?.references) === JSON.stringify(references)
  }

  /** Ids of schemas that refer to a version. */
  referencedBy({ subject, version }: Version): number[] {
    const refers = (each: Reference): boolean => each.subject === subject && each.version === version
    const used = new Set(this.store.allVersions().map(({ id }) => id))
    return [...this.store.schemas()].filter(({ id, references }) => used.has(id) && references.some(refers)).map(({ id }) => id)
  }

  // ------------------------------------------------------------------------------------------------------------ registering

  async register(subject: string, submission: Submission, normalize: boolean): Promise<Version> {
    checkSubject(subject)
    const mode = this.mode(subject)
    const importing = mode === 'IMPORT'
    if (mode === 'READONLY' || mode === 'READONLY_OVERRIDE') throw notPermitted(`Subject ${subject} is in read-only mode`)
    if (submission.id !== null && !importing) throw notPermitted(`Subject ${subject} is not in import mode`)
    const schema = this.#parseSubmission(submission)
    const { language, references, metadata } = submission
    const text = normalize || this.normalizes(subject) ? schema.normalized : schema.text
    const content = { language, text, references, metadata }
    const stored = this.store.find(content)
    const versions = this.store.versions(subject)
    const present = stored === undefined ? undefined : versions.findLast(({ id, deleted }) => id === stored.id && !deleted)
    if (present !== undefined && (submission.id === null || submission.id === present.id)) {
      // Whoever registered it may still be waiting for the disk.
      await this.store.durable()
      return present
    }
    if (!importing) {
      const details = this.differences(subject, schema)
      if (details.length > 0) throw incompatible(subject, details)
    }
    const id = stored?.id ?? submission.id ?? this.store.lastId + 1
    if (submission.id !== null && submission.id !== id)
      throw idDoesNotMatch(`The schema has the id ${id} already, not ${submission.id}`)
    if (stored === undefined && this.store.schema(id) !== undefined)
      throw notPermitted(`Overwrite new schema with id ${id} is not permitted.`)
    const next = (importing ? submission.version : null) ?? (versions.at(-1)?.version ?? 0) + 1
    if (submission.version !== null && !importing && submission.version !== next)
      throw invalidSchema(`the version is ${submission.version}, and the next one is ${next}`)
    const version: Version = { subject, version: next, id, deleted: false }
    await this.store.change(() => {
      if (stored === undefined) this.store.addSchema(content, id)
      this.store.putVersion(version)
    })
    return version
  }

  #parseSubmission(submission: Submission): Schema {
    return this.#parse(submission.language, submission.text, submission.references)
  }

  #parse(language: SchemaLanguage, text: string, references: readonly Reference[]): Schema {
    const referred = references.map(({ name, subject, version }) => {
      const found = this.store.versions(subject).find((each) => each.version === version || version === -1)
      const latest = version === -1 ? this.latest(subject) : found
      if (latest === undefined) throw invalidSchema(`no schema reference found for subject "${subject}" and version ${version}`)
      return { name, schema: this.schema(latest.id) }
    })
    try {
      return parseSchema(language, text, referred)
    } catch (cause) {
      if (cause instanceof InvalidSchema) throw invalidSchema(`${cause.message} (${language})`)
      throw cause
    }
  }

  // ------------------------------------------------------------------------------------------------------------ comparing

  /** Why a schema may not be the next version of a subject, by the subject's level; empty when it may. */
  differences(subject: string, schema: Schema): string[] {
    const level = this.compatibility(subject)
    const versions = this.store.versions(subject).filter(({ deleted }) => !deleted)
    const against = level.endsWith('_TRANSITIVE') ? versions.toReversed() : versions.slice(-1)
    return this.compare(subject, schema, against)
  }

  /** Against these versions alone, by the subject's level. */
  compare(subject: string, schema: Schema, against: readonly Version[]): string[] {
    const level = this.compatibility(subject)
    for (const { version, id } of against) {
      const earlier = this.schema(id)
      const found: Incompatibility[] = []
      if (/^(BACKWARD|FULL)/.test(level)) found.push(...schema.unreadable(earlier))
      if (/^(FORWARD|FULL)/.test(level)) found.push(...earlier.unreadable(schema))
      if (found.length === 0) continue
      return [
        ...found.map(
          ({ type, path, description }) => `{errorType:'${type}', description:"${description}", additionalInfo:'${path}'}`,
        ),
        `{oldSchemaVersion: ${version}}`,
        `{oldSchema: '${earlier.text}'}`,
        `{compatibility: '${level}'}`,
      ]
    }
    return []
  }

  /** Parsed for comparison, not kept. */
  candidate(submission: Submission): Schema {
    return this.#parseSubmission(submission)
  }

  // ------------------------------------------------------------------------------------------------------------ settings

  compatibility(subject: string): Compatibility {
    const { store } = this
    // Only levels are put.
    return (store.setting('compatibility', subject) ?? store.setting('compatibility', globalScope) ?? 'BACKWARD') as Compatibility
  }

  normalizes(subject: string): boolean {
    return (this.store.setting('normalize', subject) ?? this.store.setting('normalize', globalScope)) === 'true'
  }

  mode(subject: string): Mode {
    const global = (this.store.setting('mode', globalScope) ?? 'READWRITE') as Mode // only modes are put
    if (global === 'READONLY_OVERRIDE') return global
    return (this.store.setting('mode', subject) as Mode | undefined) ?? global
  }

  async setMode(scope: string, mode: Mode, force: boolean): Promise<void> {
    const taken = scope === globalScope ? this.store.subjects().length > 0 : this.store.versions(scope).length > 0
    if (mode === 'IMPORT' && this.mode(scope) !== 'IMPORT' && taken && !force)
      throw notPermitted('Cannot import since found existing subjects')
    await this.store.set('mode', scope, mode)
  }

  // ------------------------------------------------------------------------------------------------------------ deleting

  /** Resolves to the versions it deleted. */
  async deleteSubject(subject: string, permanent: boolean): Promise<number[]> {
    this.#checkMayDelete(subject)
    const all = this.store.versions(subject)
    if (all.length === 0) throw subjectNotFound(subject)
    const alive = all.filter(({ deleted }) => !deleted)
    if (permanent && alive.length > 0) throw subjectNotSoftDeleted(subject)
    if (!permanent && alive.length === 0) throw subjectSoftDeleted(subject)
    const gone = permanent ? all : alive
    for (const each of gone) this.#checkNotReferred(each)
    await this.store.change(() => {
      for (const each of gone) {
        if (permanent) this.#remove(each)
        else this.store.putVersion({ ...each, deleted: true })
      }
    })
    if (permanent) for (const name of ['compatibility', 'mode', 'normalize'] as const) await this.store.set(name, subject, null)
    return gone.map(({ version }) => version)
  }

  async deleteVersion(subject: string, written: string, permanent: boolean): Promise<number> {
    this.#checkMayDelete(subject)
    const found = this.version(subject, written, true)
    if (permanent && !found.deleted) throw versionNotSoftDeleted(subject, found.version)
    if (!permanent && found.deleted) throw versionSoftDeleted(subject, found.version)
    this.#checkNotReferred(found)
    await this.store.change(() => {
      if (permanent) this.#remove(found)
      else this.store.putVersion({ ...found, deleted: true })
    })
    return found.version
  }

  #remove(version: Version): void {
    this.store.removeVersion(version)
    if (this.store.schema(version.id) === undefined) this.#parsed.delete(version.id)
  }

  #checkMayDelete(subject: string): void {
    const mode = this.mode(subject)
    if (mode === 'READONLY' || mode === 'READONLY_OVERRIDE') throw notPermitted(`Subject ${subject} is in read-only mode`)
  }

  #checkNotReferred(version: Version): void {
    if (this.referencedBy(version).length > 0) throw referenceExists(`{subject=${version.subject}, version=${version.version}}`)
  }
}

/** -1 for the latest. */
function versionNumber(written: string): number {
  if (written === 'latest' || written === '-1') return -1
  if (!/^\d{1,10}$/.test(written) || Number(written) < 1 || Number(written) > versionMax) throw invalidVersion(written)
  return Number(written)
}

function checkSubject(subject: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (subject.length === 0 || subject.length > 255 || subject.startsWith(':') || /[\0-\x1f\x7f]/.test(subject))
    throw invalidSubject(subject)
}
