package observe

const (
	// firstPage is read of a list while nothing is known of how large its objects are; later pages hold about pageWeight.
	firstPage  = 25
	smallPage  = 5
	largePage  = 500
	pageWeight = 256 << 10
	// maxKeptWeight of an object that is kept whole.
	maxKeptWeight = 32 << 10
)

// weight is about what the JSON of a value takes, at a fraction of the cost of making it.
func weight(value any) int {
	switch v := value.(type) {
	case string:
		return len(v) + 2
	case map[string]any:
		sum := 2
		for key, below := range v {
			sum += len(key) + 4 + weight(below)
		}
		return sum
	case []any:
		sum := 2
		for _, below := range v {
			sum += 1 + weight(below)
		}
		return sum
	default:
		return 4
	}
}

// nextPage is how many objects to ask for after a page of so many that weighed so much: a kind with large objects must not
// be in memory by the hundred.
func nextPage(objects, weighed int) int64 {
	if objects == 0 {
		return firstPage
	}
	return int64(min(max(pageWeight*objects/max(weighed, 1), smallPage), largePage))
}
