/**
 * What each client program does: run its cases one after the other and report each as one line of JSON, which run.ts turns into a test.
 * The same few lines exist in each language here.
 */
const CASE_MS = Number(process.env['CASE_MS'] ?? 30_000)

export type Cases = Record<string, () => Promise<void>>

export async function runCases(cases: Cases): Promise<never> {
  const only = process.env['CASE']
  for (const [name, body] of Object.entries(cases)) {
    if (only !== undefined && !name.includes(only)) continue
    const started = performance.now()
    let error: string | undefined
    try {
      await within(CASE_MS, name, body())
    } catch (cause) {
      error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    }
    const ms = Math.round(performance.now() - started)
    process.stdout.write(`${JSON.stringify({ case: name, ok: error === undefined, ms, error })}\n`)
  }
  process.stdout.write(`${JSON.stringify({ done: true })}\n`)
  process.exit(0)
}

export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing came within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until `done` holds, looking every few milliseconds. */
export async function until(what: string, done: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await done())) {
    if (deadline < performance.now()) throw new Error(`${what}: not within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A name that no other run has used. */
export function unique(prefix: string): string {
  return `${prefix}.${process.pid}.${Math.random().toString(36).slice(2, 8)}`
}

export function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} must be set in the environment`)
  return value
}
