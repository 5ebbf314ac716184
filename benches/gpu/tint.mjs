// node tint.mjs DIR: Tint's word (Dawn's WGSL compiler, the one in Chromium) on every shader that DIR/variants.json
// lists, and a pipeline of each but those that need more workgroup memory than every device has. Needs the npm package
// `webgpu` in a parent folder or on NODE_PATH; no driver.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { create, globals } = await import(pathToFileURL(createRequire(import.meta.url).resolve('webgpu')));
Object.assign(globalThis, globals);

const folder = process.argv[2];
const variants = JSON.parse(readFileSync(join(folder, 'variants.json'), 'utf8')).filter(({ branch }) => !branch);
// Kept in scope: what it owns goes with it.
const gpu = create(['backend=null']);
const adapter = await gpu.requestAdapter();
// Default limits: what every WebGPU device has; subgroups are for those that have them.
const device = await adapter.requestDevice({ requiredFeatures: ['subgroups'] });
let refused = 0;
for (const { name, entry, constants, memory } of variants) {
  device.pushErrorScope('validation');
  const text = readFileSync(join(folder, `${name}.wgsl`), 'utf8');
  // naga knows subgroups without being told, and does not know how to be told.
  const code = text.includes('subgroupAdd') ? `enable subgroups;${text}` : text;
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  for (const m of messages) console.log(`${name}.wgsl:${m.lineNum}:${m.linePos}: ${m.type}: ${m.message}`);
  const compute = { module, entryPoint: entry, constants };
  const pipeline = () =>
    device.createComputePipelineAsync({ layout: 'auto', compute }).then(() => '', (e) => e.message);
  const invalid = messages.find((m) => m.type === 'error');
  const why = memory > device.limits.maxComputeWorkgroupStorageSize ? invalid?.message : await pipeline();
  await device.popErrorScope();
  if (why) {
    console.log(`${name}: ${why.trim()}`);
    refused += 1;
  }
}
console.log(`tint: ${variants.length} shaders, ${refused} refused`);
process.exit(refused ? 1 : 0);
