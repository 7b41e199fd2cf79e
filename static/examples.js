/** Sentences to begin with, written for this page, each with the label that a person would give it. */

export const EXAMPLES = {
  sentence: [
    { text: "A warm, funny and quietly devastating film.", gold: "positive" },
    { text: "The plot is not bad at all.", gold: "positive" },
    { text: "It wants to be a thriller, but nobody told the script.", gold: "negative" },
    { text: "Two hours that feel like a week in a dentist's waiting room.", gold: "negative" },
    { text: "If you only see one dull, overlong, joyless sequel this year, let it be any other one.", gold: "negative" },
    { text: "What begins as a small story about a lighthouse keeper and his radio slowly becomes, through patient writing and two remarkable performances, one of the most tender and surprising films about growing old that I have seen in years.", gold: "positive" },
    { text: "Dull!", gold: "negative" },
  ],
  pair: [
    { premise: "Two dogs are running through a field of tall grass.", hypothesis: "Some animals are outside.", gold: "entailment" },
    { premise: "A woman in a red coat is waiting for the bus.", hypothesis: "The woman is late for work.", gold: "neutral" },
    { premise: "A man is playing the guitar on a small stage.", hypothesis: "Nobody is making music.", gold: "contradiction" },
  ],
};
