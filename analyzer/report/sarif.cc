// SARIF 2.1.0, which code review tools and editors read.
#include <ctype.h>
#include <string.h>

#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

using Json = nlohmann::ordered_json;

// A path as a URI reference: relative ones stay relative to the checkout.
std::string Uri(const std::string& path) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string uri = path.starts_with("/") ? "file://" : "";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (isalnum(byte) || (byte < 0x80 && strchr("/-_.~+", c) != nullptr && c != '\0')) {
      uri += c;
    } else {
      uri += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return uri;
}

Json LocationJson(const ReportSite& site, const std::string& message) {
  Json location = Json::object();
  const Frame* place = site.Place();
  if (place != nullptr && place->line != 0) {
    location["physicalLocation"] = {{"artifactLocation", {{"uri", Uri(place->file)}}},
                                    {"region", {{"startLine", place->line}}}};
  }
  if (place != nullptr && !place->function.empty()) {
    location["logicalLocations"] = {
        {{"fullyQualifiedName", place->function}, {"kind", "function"}}};
  }
  if (!message.empty()) location["message"] = {{"text", message}};
  return location;
}

}  // namespace

std::string WriteSarif(const Report& report, const WriteOptions& options) {
  Json rules = Json::array();
  absl::flat_hash_map<std::string, size_t> index;
  if (options.pages != nullptr) {
    for (const RulePage& page : *options.pages) {
      index.emplace(page.id, rules.size());
      rules.push_back({{"id", page.id},
                       {"shortDescription", {{"text", page.summary}}},
                       {"help", {{"text", page.text}, {"markdown", page.text}}},
                       {"defaultConfiguration", {{"level", page.severity}}}});
    }
  }
  Json results = Json::array();
  for (const ReportFinding& finding : report.findings) {
    Json result = {{"ruleId", finding.rule}};
    if (const auto it = index.find(finding.rule); it != index.end())
      result["ruleIndex"] = it->second;
    result["level"] = SeverityName(finding.severity);
    std::string text = finding.message;
    if (!finding.fix.empty()) text += "\nHow to mend it: " + finding.fix;
    result["message"] = {{"text", text}};
    result["locations"] = {LocationJson(finding.site, "")};
    result["occurrenceCount"] = finding.count;
    result["partialFingerprints"] = {{"ipctrace/v1", finding.fingerprint}};
    if (!finding.story.empty()) {
      Json steps = Json::array();
      for (const ReportStep& step : finding.story) {
        steps.push_back({{"location", LocationJson(step.site, step.message)}});
      }
      result["codeFlows"] = {{{"threadFlows", {{{"locations", std::move(steps)}}}}}};
    }
    results.push_back(std::move(result));
  }
  Json notifications = Json::array();
  for (const std::string& hole : report.Holes()) {
    notifications.push_back({{"level", "warning"}, {"message", {{"text", hole}}}});
  }
  for (const std::string& problem : report.problems) {
    notifications.push_back({{"level", "error"}, {"message", {{"text", problem}}}});
  }
  const Json json = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                     {"version", "2.1.0"},
                     {"runs",
                      {{{"tool", {{"driver", {{"name", "ipctrace"}, {"rules", std::move(rules)}}}}},
                        {"invocations",
                         {{{"executionSuccessful", report.complete() && report.problems.empty()},
                           {"toolExecutionNotifications", std::move(notifications)}}}},
                        {"columnKind", "unicodeCodePoints"},
                        {"results", std::move(results)}}}}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ipctrace
