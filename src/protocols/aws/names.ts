/** Names ⇄ resource names (ARNs) and queue URLs. A queue is the topic of its name; accounts and regions lead to the same one. */

export const account = '000000000000'
export const defaultRegion = 'us-east-1'

export const queueArn = (region: string, name: string): string => `arn:aws:sqs:${region}:${account}:${name}`
export const topicArn = (region: string, name: string): string => `arn:aws:sns:${region}:${account}:${name}`

/** The last part, of any account and region. */
export function nameInArn(arn: string, service: 'sqs' | 'sns'): string | undefined {
  const [prefix, partition, of, , , name, ...more] = arn.split(':')
  if (prefix !== 'arn' || partition === undefined || !partition.startsWith('aws') || of !== service) return undefined
  return more.length === 0 && name !== undefined && name !== '' ? name : undefined
}

export const queueUrl = (base: string, name: string, owner = account): string => `${base}/${owner}/${encodeURIComponent(name)}`

/** From a queue's URL or its path: what follows the account. */
export function nameInUrl(url: string): string | undefined {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, '')
  const [owner, name] = path
    .replace(/[?#].*$/, '')
    .split('/')
    .slice(-2)
  if (owner === undefined || name === undefined || name === '' || !path.startsWith('/') || path.split('/').length < 3)
    return undefined
  try {
    return decodeURIComponent(name)
  } catch {
    return undefined
  }
}

export const isFifo = (name: string): boolean => name.endsWith('.fifo')
