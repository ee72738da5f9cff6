/** How often and how long after an endpoint over HTTP is tried again. */
import { invalidParameter } from '../errors.ts'
import { type Fields, isFields } from '../input.ts'

/** As the service does it where nobody said otherwise. */
const standard = {
  minDelayTarget: 20,
  maxDelayTarget: 20,
  numRetries: 3,
  numNoDelayRetries: 0,
  numMinDelayRetries: 0,
  numMaxDelayRetries: 0,
  backoffFunction: 'linear',
}
type Retries = typeof standard

const curves: Readonly<Record<string, (share: number) => number>> = {
  linear: (share) => share,
  arithmetic: (share) => share ** 2,
  geometric: (share) => share ** 3,
  exponential: (share) => (2 ** (share * 10) - 1) / 1023,
}

/** Of a subscription, or of a topic (under `http`). Throws InvalidParameter for one that is none, or says more than is done. */
export function checkDeliveryPolicy(text: string): void {
  const bad = (reason: string) => invalidParameter(`DeliveryPolicy: ${reason}`)
  const given = retriesIn(text)
  if (given === null) throw bad('it must be a JSON object with healthyRetryPolicy alone')
  for (const [name, value] of Object.entries(given)) {
    if (name === 'backoffFunction') {
      if (curves[String(value)] === undefined) throw bad(`unknown backoffFunction ${String(value)}`)
      continue
    }
    const most = name.endsWith('Target') ? 3600 : 100
    const least = name.endsWith('Target') ? 1 : 0
    if (!(name in standard)) throw bad(`${name} is not supported`)
    if (!Number.isInteger(value) || Number(value) < least || Number(value) > most)
      throw bad(`${name} must be between ${least} and ${most}`)
  }
  const all = { ...standard, ...given } as Retries // checked above
  if (all.maxDelayTarget < all.minDelayTarget) throw bad('maxDelayTarget must be greater than or equal to minDelayTarget')
  if (all.numNoDelayRetries + all.numMinDelayRetries + all.numMaxDelayRetries > all.numRetries)
    throw bad('numRetries must be at least the sum of the retries of each phase')
}

/** The wait before each retry, ms. */
export function delaysOf(text: string | undefined): readonly number[] {
  const given = text === undefined || text === '' ? {} : (retriesIn(text) ?? {})
  const all = { ...standard, ...given } as Retries // checked when it was set
  const { numRetries, numNoDelayRetries, numMinDelayRetries, numMaxDelayRetries, minDelayTarget, maxDelayTarget } = all
  const between = numRetries - numNoDelayRetries - numMinDelayRetries - numMaxDelayRetries
  const curve = curves[all.backoffFunction] ?? ((share) => share)
  const seconds = [
    ...Array.from({ length: numNoDelayRetries }, () => 0),
    ...Array.from({ length: numMinDelayRetries }, () => minDelayTarget),
    ...Array.from(
      { length: between },
      (_, index) => minDelayTarget + (maxDelayTarget - minDelayTarget) * curve(between === 1 ? 1 : index / (between - 1)),
    ),
    ...Array.from({ length: numMaxDelayRetries }, () => maxDelayTarget),
  ]
  return seconds.map((each) => Math.round(each * 1000))
}

/** null: something else. */
function retriesIn(text: string): Fields | null {
  try {
    const policy: unknown = JSON.parse(text)
    if (!isFields(policy)) return null
    const { http, ...others } = policy
    const inner = http === undefined ? policy : Object.keys(others).length === 0 && isFields(http) ? http : null
    if (inner === null) return null
    const { healthyRetryPolicy, defaultHealthyRetryPolicy, disableSubscriptionOverrides, ...more } = inner
    if (Object.keys(more).length > 0 || (disableSubscriptionOverrides ?? false) !== false) return null
    const retries = healthyRetryPolicy ?? defaultHealthyRetryPolicy ?? {}
    return isFields(retries) ? retries : null
  } catch {
    return null
  }
}
