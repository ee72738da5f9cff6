/** MQTT by loadgen, raw frames from Go: fan-in, fan-out, each QoS, a steady rate, and idle connections. */
import { load } from './loadgen.ts'
import type { Workload } from './workload.ts'

export function mqttWorkloads(scale: number): readonly Workload[] {
  const some = (count: number): number => Math.max(100, Math.round(count * scale))
  const publishing = (name: string, flags: Readonly<Record<string, number>>): Workload => ({
    name,
    run: (contender) => load(contender, 'mqtt', flags),
  })
  return [
    publishing('QoS 0, 1 to 1, 128 B', { qos: 0, n: some(400_000) }),
    publishing('QoS 0, 10 to 1, 128 B', { qos: 0, conns: 10, n: some(400_000) }),
    publishing('QoS 0, 1 to 50, 128 B', { qos: 0, subs: 50, n: some(20_000) }),
    publishing('QoS 0, 1 to 1, 1 KiB', { qos: 0, size: 1024, n: some(200_000) }),
    publishing('QoS 0, 1 to 1, 128 B at 5000 a second', { qos: 0, rate: 5000, n: some(50_000) }),
    publishing('QoS 1, 1 to 1, 128 B, 100 in flight', { qos: 1, n: some(200_000) }),
    publishing('QoS 1, 10 to 1, 128 B, 100 in flight each', { qos: 1, conns: 10, n: some(200_000) }),
    publishing('QoS 1, 1 to 50, 128 B, 100 in flight', { qos: 1, subs: 50, n: some(8_000) }),
    publishing('QoS 2, 1 to 1, 128 B, 100 in flight', { qos: 2, n: some(100_000) }),
    { name: 'idle clients with a subscription each', run: (contender) => load(contender, 'mqtt-idle', { n: some(9_000) }) },
  ]
}
