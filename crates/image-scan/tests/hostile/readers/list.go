// Lists archives with Go's archive/tar, which docker, containerd and podman unpack with: one line "<compression> <path>"
// in, one line of JSON out.
package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type answer struct {
	Items       [][]any `json:"items,omitempty"`
	Error       string  `json:"error,omitempty"`
	Unsupported bool    `json:"unsupported,omitempty"`
}

func item(header *tar.Header, body io.Reader) ([]any, error) {
	switch header.Typeflag {
	case tar.TypeReg:
		hash := sha256.New()
		if _, err := io.Copy(hash, body); err != nil {
			return nil, err
		}
		return []any{"f", header.Name, header.Size, "", hex.EncodeToString(hash.Sum(nil))}, nil
	case tar.TypeSymlink:
		return []any{"l", header.Name, 0, header.Linkname, ""}, nil
	case tar.TypeLink:
		return []any{"h", header.Name, 0, header.Linkname, ""}, nil
	case tar.TypeDir:
		return []any{"d", header.Name, 0, "", ""}, nil
	default:
		return []any{"s", header.Name, 0, "", ""}, nil
	}
}

func list(compression, path string) ([][]any, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var bytes io.Reader = bufio.NewReader(file)
	if compression == "gzip" {
		if bytes, err = gzip.NewReader(bytes); err != nil {
			return nil, err
		}
	}
	items := [][]any{}
	for archive := tar.NewReader(bytes); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		next, err := item(header, archive)
		if err != nil {
			return nil, err
		}
		items = append(items, next)
	}
	// As unpackers do, so that the end of the compressed stream is checked.
	_, err = io.Copy(io.Discard, bytes)
	return items, err
}

func main() {
	output := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		compression, path, _ := strings.Cut(lines.Text(), " ")
		items, err := list(compression, path)
		result := answer{Items: items}
		if compression == "zstd" {
			result = answer{Unsupported: true}
		} else if err != nil {
			result = answer{Error: err.Error()}
		}
		if err := output.Encode(result); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
