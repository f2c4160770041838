// Uploads one file with Uppy's stock client, as a product's own page would; what happens is posted to the page's server.
// Parameters: endpoint, size, name, type, parts (true, false). A tab opened again finds the file that was being uploaded.
import Uppy from '@uppy/core'
import AwsS3 from '@uppy/aws-s3'
import GoldenRetriever from '@uppy/golden-retriever'

const wanted = new URLSearchParams(location.search)
const partsSent = []

function report(what, more = {}) {
  return fetch('/report', { method: 'POST', body: JSON.stringify({ what, partsSent, ...more }) })
}

// The same bytes as `file_bytes` of the test: an MP4's beginning, then a pattern that no two places share for long.
function fileBytes(size) {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16) * 13) & 255
  bytes.set([0, 0, 0, 32, ...new TextEncoder().encode('ftypisom')])
  return bytes
}

const uppy = new Uppy({ id: 'upload', autoProceed: false })
uppy.use(AwsS3, {
  companionEndpoint: wanted.get('endpoint'),
  shouldUseMultipart: wanted.get('parts') === 'true',
  getChunkSize: () => 5 * 1024 * 1024,
})
uppy.use(GoldenRetriever, { indexedDB: { maxFileSize: 100 * 1024 * 1024 } })
uppy.on('s3-multipart:part-uploaded', (_file, part) => {
  partsSent.push(part.PartNumber)
  report('part', { number: part.PartNumber })
})
uppy.on('upload-success', (_file, response) => report('success', { body: response.body }))
uppy.on('upload-error', (_file, error) => report('error', { message: String(error) }))
window.addEventListener('error', (event) => report('error', { message: event.message }))

let isRestored = false
uppy.on('restored', () => {
  isRestored = true
  const [file] = uppy.getFiles()
  report('restored', { size: file?.data?.size ?? null })
  uppy.emit('restore-confirmed')
})
setTimeout(() => {
  if (isRestored) return
  const size = Number(wanted.get('size'))
  const data = new Blob([fileBytes(size)], { type: wanted.get('type') })
  uppy.addFile({ name: wanted.get('name'), type: wanted.get('type'), data })
  uppy.upload().catch((error) => report('error', { message: String(error) }))
}, 1000)
