/** Metadata in SQLite: a checkpoint of what the write-ahead log says, written in one transaction, readable with any SQLite tool. */
import { DatabaseSync } from 'node:sqlite'
import type { MetadataChange, MetadataStore } from '../interfaces.ts'

/** Raised when what is stored changes its meaning; a newer one than ours is refused. */
export const formatVersion = 1

export class SqliteMetadata implements MetadataStore {
  readonly #database: DatabaseSync

  constructor(file: string, synced: boolean) {
    const database = new DatabaseSync(file)
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synced ? 'FULL' : 'NORMAL'}`)
    database.exec(
      'CREATE TABLE IF NOT EXISTS meta (tbl TEXT NOT NULL, key TEXT NOT NULL, value, PRIMARY KEY (tbl, key)) WITHOUT ROWID',
    )
    const stored = database.prepare("SELECT value FROM meta WHERE tbl = 'anymq' AND key = 'format'").get()
    if (stored === undefined) database.exec(`INSERT INTO meta VALUES ('anymq', 'format', ${formatVersion})`)
    else if (Number(stored['value']) > formatVersion) {
      database.close()
      throw new Error(
        `${file} has storage format ${String(stored['value'])}; this version reads up to ${formatVersion}. Start the newer version that wrote it.`,
      )
    }
    this.#database = database
  }

  async position(): Promise<number> {
    const row = this.#database.prepare("SELECT value FROM meta WHERE tbl = 'anymq' AND key = 'position'").get()
    return row === undefined ? 0 : Number(row['value'])
  }

  async load(table: string, visit: (key: string, value: string | Uint8Array) => void): Promise<void> {
    for (const row of this.#database.prepare('SELECT key, value FROM meta WHERE tbl = ? ORDER BY key').iterate(table)) {
      visit(String(row['key']), row['value'] as string | Uint8Array) // only these two are ever written
    }
  }

  async range(
    table: string,
    from: string,
    before: string,
    limit: number,
  ): Promise<{ key: string; value: string | Uint8Array }[]> {
    const rows = this.#database
      .prepare('SELECT key, value FROM meta WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?')
      .all(table, from, before, limit)
    return rows.map((row) => ({ key: String(row['key']), value: row['value'] as string | Uint8Array })) // as above
  }

  async count(table: string): Promise<number> {
    return Number(this.#database.prepare('SELECT count(*) AS n FROM meta WHERE tbl = ?').get(table)?.['n'] ?? 0)
  }

  async checkpoint(position: number, changes: readonly MetadataChange[]): Promise<void> {
    const put = this.#database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?, ?)')
    const remove = this.#database.prepare('DELETE FROM meta WHERE tbl = ? AND key = ?')
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const { table, key, value } of changes) {
        if (value === null) remove.run(table, key)
        else put.run(table, key, value)
      }
      put.run('anymq', 'position', position)
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#database.exec('ROLLBACK')
      throw error
    }
  }

  async close(): Promise<void> {
    this.#database.close()
  }
}
