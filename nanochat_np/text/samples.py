"""Small texts of many kinds, written for this program, to see what a tokenizer makes of kinds it was not trained on."""

ENGLISH = """The harbour was still asleep when the first boat came in. Nobody had expected it before noon, least of
all the old keeper, who was standing in his kitchen with one shoe on. "You're early," he called from the window, and
the woman at the rudder laughed. "The wind didn't ask me." She had brought forty crates of oranges, a letter for the
mayor, and a parrot that knew three songs but would sing only the worst of them. By eight o'clock half the town had
gathered on the pier; by nine they had begun to argue about the price, which had risen from 12 to 17 cents since
last November.
"""

CODE = '''from collections import deque


class Graph:
    """A directed graph, by its adjacency lists."""

    def __init__(self, edges: list[tuple[int, int]]) -> None:
        self.neighbours: dict[int, list[int]] = {}
        for source, target in edges:
            self.neighbours.setdefault(source, []).append(target)

    def distance(self, start: int, goal: int) -> int | None:
        """Length of a shortest path, or None where there is none."""
        queue, seen = deque([(start, 0)]), {start}
        while queue:
            node, steps = queue.popleft()
            if node == goal:
                return steps
            for following in self.neighbours.get(node, ()):
                if following not in seen:
                    seen.add(following)
                    queue.append((following, steps + 1))
        return None


if __name__ == "__main__":
    print(Graph([(1, 2), (2, 3), (3, 1)]).distance(1, 3))  # 2
'''

MATHEMATICS = r"""\begin{theorem} Let $f:[a,b]\to\mathbb{R}$ be continuous and let $F(x)=\int_a^x f(t)\,dt$.
Then $F'(x)=f(x)$ for every $x\in(a,b)$. \end{theorem}
\begin{proof} For $h>0$ we have
\[ \left|\frac{F(x+h)-F(x)}{h}-f(x)\right| \le \frac{1}{h}\int_x^{x+h}\left|f(t)-f(x)\right|dt
   \le \sup_{0\le s\le h}\left|f(x+s)-f(x)\right| \xrightarrow[h\to 0]{} 0. \qedhere \] \end{proof}
Hence $\int_0^1 x^2\,dx=\tfrac{1}{3}$, and $1+2+\dots+n=\frac{n(n+1)}{2}$, so that $1+2+\dots+100=5050$.
∀ε>0 ∃δ>0: |x−y|<δ ⇒ |f(x)−f(y)|<ε.   ∑_{k=0}^{∞} x^k = 1/(1−x),  |x|<1.   e^{iπ}+1 = 0.   √2 ≈ 1.41421356
"""

GERMAN = """Der Zug hatte eine halbe Stunde Verspätung, und niemand wusste, warum. Im Speisewagen saßen zwei
Schwestern, die sich seit Jahren nicht gesehen hatten, und sprachen über Größe und Gewicht eines Kürbisses. »Über
vierzig Kilo«, sagte die ältere, »und trotzdem bekam er bloß den zweiten Preis.« Draußen zogen abgeerntete Felder
vorbei.
"""

SPANISH = """¿Quién dejó la puerta abierta? Esa mañana el gato había salido al balcón y, con mucha calma, se comió
las flores que mi abuela regaba desde hacía años. Ella no se enfadó: dijo que en abril nacerían otras, más pequeñas
y quizá más amarillas, y que un animal con tan buen gusto también merecía su desayuno.
"""

RUSSIAN = """Зимой река замерзала, и дети ходили в школу прямо по льду. Учительница каждое утро считала варежки:
если получалось нечётное число, значит, кто-то опять потерял одну по дороге. К весне в её шкафу лежало семнадцать
варежек, и ни одной одинаковой пары среди них не было.
"""

CHINESE = """山脚下有一家很小的书店，店主每天只卖一本书。有人问他为什么不多卖几本，他笑着说：“一个人一天能认真读完一
本，已经很不容易了。”下雨的时候，他把椅子搬到门口，一边喝茶，一边听雨点落在屋顶上的声音。
"""

KOREAN = """할머니는 시장에서 돌아오는 길에 항상 같은 나무 아래에서 쉬셨다. 어느 날 그 자리에 누군가 작은 의자를
놓아두었다. 누가 만든 것인지는 아무도 몰랐지만, 다음 해 봄에는 의자가 세 개로 늘어났다.
"""

HINDI = """गाँव के पुराने कुएँ के पास एक घड़ी लगी थी जो हमेशा दस मिनट पीछे चलती थी। लोग उसे ठीक नहीं करवाते थे,
क्योंकि उसी की वजह से बच्चे खेलने के लिए रोज़ थोड़ा और समय पा जाते थे।
"""

SAMPLES = {
    "English": ENGLISH,
    "Python code": CODE,
    "mathematics": MATHEMATICS,
    "German": GERMAN,
    "Spanish": SPANISH,
    "Russian": RUSSIAN,
    "Chinese": CHINESE,
    "Korean": KOREAN,
    "Hindi": HINDI,
}
