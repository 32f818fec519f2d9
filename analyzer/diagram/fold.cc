// Puts "× N more" for repetitions.
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "analyzer/diagram/timeline.h"

namespace ipctrace::diagram {
namespace {

// Several conversations at once make no cycle. Of a long diagram's rows of one sort, between the
// same lifelines, the first and the last few stay.
void FoldInterleaved(Diagram* diagram) {
  constexpr size_t kLong = 400, kFirst = 6, kLast = 2;
  if (diagram->items.size() < kLong) return;
  using Sort = std::tuple<Item::Kind, int, int, std::string, bool>;
  const auto sort_of = [](const Item& item) {
    return Sort(item.kind, item.from, item.to, item.kind == Item::kFold ? "" : item.sort,
                item.unread);
  };
  std::map<Sort, size_t> all, seen;
  for (const Item& item : diagram->items) ++all[sort_of(item)];
  std::vector<Item> kept;
  for (Item& item : diagram->items) {
    const Sort sort = sort_of(item);
    const size_t number = seen[sort]++, count = all[sort];
    const bool stays = item.kind == Item::kViolation || count <= 2 * (kFirst + kLast) ||
                       number < kFirst || number + kLast >= count;
    if (stays) {
      kept.push_back(std::move(item));
    } else if (!kept.empty() && kept.back().kind == Item::kFold &&
               kept.back().sort == "interleaved") {
      kept.back().more += item.kind == Item::kFold ? item.more : 1;
    } else {
      Item fold;
      fold.kind = Item::kFold;
      fold.time = item.time;
      fold.from = item.from;
      fold.to = item.to;
      fold.sort = "interleaved";
      fold.text = "rows like these ";
      fold.more = item.kind == Item::kFold ? item.more : 1;
      kept.push_back(std::move(fold));
    }
  }
  diagram->items = std::move(kept);
}

}  // namespace

void Fold(Diagram* diagram) {
  constexpr size_t kLongest = 8;  // items of a cycle
  constexpr size_t kShown = 2, kLeast = 4;
  const auto& items = diagram->items;
  const auto same = [&](size_t a, size_t b) {
    return items[a].kind == items[b].kind && items[a].from == items[b].from &&
           items[a].to == items[b].to && items[a].sort == items[b].sort &&
           items[a].unread == items[b].unread && items[a].kind != Item::kViolation;
  };
  std::vector<Item> folded;
  for (size_t i = 0; i < items.size();) {
    size_t period = 0, rounds = 0;
    for (size_t p = 1; p <= kLongest && i + p * kLeast <= items.size(); ++p) {
      size_t end = i + p;
      while (end < items.size() && same(end, end - p)) ++end;
      const size_t r = (end - i) / p;
      if (r >= kLeast && r * p > rounds * period) {
        period = p;
        rounds = r;
      }
    }
    if (period == 0) {
      folded.push_back(items[i++]);
      continue;
    }
    for (size_t k = 0; k < kShown * period; ++k) folded.push_back(items[i + k]);
    Item fold;
    fold.kind = Item::kFold;
    fold.time = items[i + kShown * period].time;
    fold.more = static_cast<int64_t>(rounds - kShown);
    fold.from = items[i].from;
    fold.to = items[i].to;
    fold.text = period == 1 ? "" : absl::StrCat("the last ", period, " rows ");
    folded.push_back(std::move(fold));
    i += rounds * period;
  }
  diagram->items = std::move(folded);
  FoldInterleaved(diagram);
}

}  // namespace ipctrace::diagram
