package content

// SealedObject is the content of a sealed item: a SOPS-encrypted document and what is done to it once it is open. SOPS
// authenticates the whole document, so nothing may touch it before.
type SealedObject struct {
	// Document word for word, in Format: yaml or json.
	Document string `json:"document"`
	Format   string `json:"format"`
	// Patches are applied, then values Set, as the render stage does with open objects. They are JSON 6902 patches, as JSON text:
	// what labels, annotations and a strategic merge mean is decided before, on the encrypted form.
	Patches []string   `json:"patches,omitempty"`
	Set     []SetField `json:"set,omitempty"`
}

// SetField writes a value at a JSON pointer.
type SetField struct {
	Pointer string `json:"pointer"`
	Value   any    `json:"value"`
}
