package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v6 "github.com/anchore/grype/grype/db/v6"
	"github.com/spf13/afero"
)

// Grype looks for a release of Debian by number and name.
var codenames = map[string]string{"12": "bookworm"}

// Grype looks for its database in a folder named by the schema.
func writeGrype(root string, advisories []Advisory) error {
	folder := filepath.Join(root, strconv.Itoa(v6.ModelVersion))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	database, err := v6.NewWriter(v6.Config{DBDirPath: folder})
	if err != nil {
		return err
	}
	if err := fillGrype(database, advisories); err != nil {
		return err
	}
	if err := database.SetDBMetadata(); err != nil {
		return err
	}
	if err := database.Close(); err != nil {
		return err
	}
	_, err = v6.WriteImportMetadata(afero.NewOsFs(), folder, "agreement")
	return err
}

func fillGrype(database v6.ReadWriter, advisories []Advisory) error {
	now := time.Now().UTC()
	for _, advisory := range advisories {
		system, kind, format, err := grypePackage(advisory)
		if err != nil {
			return err
		}
		provider := &v6.Provider{ID: strings.ToLower(advisory.Ecosystem), Version: "1", Processor: "agreement", DateCaptured: &now}
		vulnerability := &v6.VulnerabilityHandle{
			Name:       advisory.ID,
			Status:     v6.VulnerabilityActive,
			ProviderID: provider.ID,
			Provider:   provider,
			BlobValue:  &v6.VulnerabilityBlob{ID: advisory.ID},
		}
		if err := database.AddVulnerabilities(vulnerability); err != nil {
			return err
		}
		affected := &v6.AffectedPackageHandle{
			VulnerabilityID: vulnerability.ID,
			Vulnerability:   vulnerability,
			OperatingSystem: system,
			Package:         &v6.Package{Name: advisory.Package, Ecosystem: kind},
			BlobValue:       &v6.PackageBlob{Ranges: grypeRanges(advisory, format, system != nil)},
		}
		if err := database.AddAffectedPackages(affected); err != nil {
			return err
		}
	}
	return nil
}

// grypePackage says for which distribution, kind of package and order of versions an advisory is.
func grypePackage(advisory Advisory) (*v6.OperatingSystem, string, string, error) {
	major, minor, _ := strings.Cut(strings.TrimPrefix(advisory.Release, "v"), ".")
	switch advisory.Ecosystem {
	case "Debian":
		return &v6.OperatingSystem{Name: "debian", ReleaseID: "debian", MajorVersion: major, Codename: codenames[major]}, "deb", "dpkg", nil
	case "Alpine":
		return &v6.OperatingSystem{Name: "alpine", ReleaseID: "alpine", MajorVersion: major, MinorVersion: minor}, "apk", "apk", nil
	case "PyPI":
		return nil, "python", "python", nil
	case "npm":
		return nil, "npm", "semantic", nil
	}
	return nil, "", "", fmt.Errorf("%s: no such ecosystem: %s", advisory.ID, advisory.Ecosystem)
}

func grypeRanges(advisory Advisory, format string, ofDistribution bool) []v6.Range {
	var ranges []v6.Range
	for at, constraint := range constraints(advisory) {
		fix := &v6.Fix{State: v6.NotFixedStatus}
		if fixed := advisory.Ranges[at].Fixed; fixed != "" {
			fix = &v6.Fix{State: v6.FixedStatus, Version: fixed}
		}
		// Everything from the beginning is said by leaving the beginning away.
		constraint = strings.TrimPrefix(strings.TrimPrefix(constraint, ">=0"), ", ")
		if ofDistribution {
			constraint = strings.ReplaceAll(constraint, ", ", ",")
		}
		ranges = append(ranges, v6.Range{Version: v6.Version{Type: format, Constraint: constraint}, Fix: fix})
	}
	return ranges
}
