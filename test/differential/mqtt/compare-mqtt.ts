/** Sends both brokers every packet and every conversation, and reports what comes back in another way. */
import { conversationCases } from './conversation-cases.ts'
import { expected } from './expected.ts'
import { packetCases } from './packet-cases.ts'

/** Resolves to how many cases failed. */
export async function compareMqtt(theirPort: number, ourPort: number, words: readonly string[]): Promise<number> {
  let [asked, failed, known] = [0, 0, 0]
  const unused = new Set(expected)
  for (const each of [...packetCases(), ...conversationCases()]) {
    if (!words.every((word) => each.name.includes(word))) continue
    asked++
    const [theirs, ours] = await Promise.all([each.run(theirPort), each.run(ourPort)])
    if (JSON.stringify(theirs) === JSON.stringify(ours)) continue
    const reason = expected.find((row) => row.name.test(each.name) && (row.when?.(theirs, ours) ?? true))
    if (reason !== undefined) {
      known++
      unused.delete(reason)
      continue
    }
    failed++
    console.log(`✖ ${each.name}\n    Mosquitto ${theirs.join(', ')}\n    AnyMQ     ${ours.join(', ')}`)
  }
  console.log(`${asked} cases compared, ${failed} with differences that are not expected, ${known} with some that are`)
  if (words.length > 0) return failed
  for (const { name } of unused) console.log(`✖ expected, and not there any more: ${name}`)
  return failed + unused.size
}
